#include "perf/common/report.h"

#include <gtest/gtest.h>

namespace tutti::perf {
namespace {

TEST(Report, TableLooksLikeNcclTests) {
  Options options;
  testing::internal::CaptureStdout();
  Report report(options, "all_reduce_perf");
  report.tableHead();
  report.rowStart({33554432, 8388608, "float", "sum", -1});
  report.rowBody({123.4, 271.92, 475.86, 0.0, std::nullopt}, false);
  report.rowBody({122.9, 273.03, 477.8, std::nullopt, std::nullopt}, true);
  report.rowEnd(20);
  report.finish({0, 477.83, false, true});
  report.end("");
  const std::string expected =
      "#\n"
      "#                                                              out-of-place                 "
      "      in-place          \n"
      "#       size         count      type   redop    root     time   algbw   busbw  #wrong     "
      "time   algbw   busbw  #wrong \n"
      "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             "
      "(us)  (GB/s)  (GB/s)         \n"
      "    33554432       8388608     float     sum      -1   123.40  271.92  475.86       0   "
      "122.90  273.03  477.80    N/A\n"
      "# Out of bounds values : 0 OK\n"
      "# Avg bus bandwidth    : 477.83 \n"
      "#\n"
      "# Collective test concluded: all_reduce_perf\n"
      "#\n"
      "\n";
  EXPECT_EQ(testing::internal::GetCapturedStdout(), expected);
}

TEST(Report, AnErrorEndsAnOpenRow) {
  Options options;
  testing::internal::CaptureStdout();
  Report report(options, "reduce_perf");
  report.rowStart({8, 2, "float", "sum", 0});
  report.end("rank 1 is gone");
  report.end("said once");
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "           8             2     float     sum       0\n#\n# error: rank 1 is gone\n");
}

TEST(IterationStatistics, LeavesOutTheFirst) {
  IterationStatistics statistics;
  statistics.microseconds = {1000, 1, 2, 3, 4};
  statistics.skipped = 1;
  statistics.compute();
  EXPECT_DOUBLE_EQ(statistics.min, 1);
  EXPECT_DOUBLE_EQ(statistics.max, 4);
  EXPECT_DOUBLE_EQ(statistics.mean, 2.5);
  EXPECT_DOUBLE_EQ(statistics.p50, 3);
  EXPECT_DOUBLE_EQ(statistics.p99, 4);
  EXPECT_NEAR(statistics.variation, 44.72, 0.01);
}

}  // namespace
}  // namespace tutti::perf
