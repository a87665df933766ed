// Communicators that run algorithms of files in MSCCL's XML.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

// Around a ring of `size` ranks: what is received goes on, `size` - 1 times.
std::string ringAllGather(int size, bool isRight = true) {
  std::string text = fmt::format(
      R"(<algo name="by hand" proto="Simple" nchannels="1" nchunksperloop="{0}" ngpus="{0}" )"
      R"(coll="allgather" inplace="1" outofplace="1">)",
      size);
  for (int rank = 0; rank < size; ++rank) {
    const int previous = (rank + size - 1) % size;
    text += fmt::format(
        R"(<gpu id="{}" i_chunks="1" o_chunks="{}" s_chunks="0"><tb id="0" send="-1" recv="-1" )"
        R"(chan="0"><step s="0" type="cpy" srcbuf="i" srcoff="0" dstbuf="o" dstoff="{}" cnt="1" )"
        R"(depid="-1" deps="-1" hasdep="0"/></tb><tb id="1" send="{}" recv="{}" chan="0">)",
        rank, size, rank, (rank + 1) % size, previous);
    for (int step = 0; step < size; ++step) {
      const bool isFirst = step == 0, isLast = step == size - 1;
      const int block = (rank + size - step) % size;
      text += fmt::format(
          R"(<step s="{}" type="{}" srcbuf="{}" srcoff="{}" dstbuf="o" dstoff="{}" cnt="1" )"
          R"(depid="-1" deps="-1" hasdep="0"/>)",
          step,
          isFirst  ? "s"
          : isLast ? "r"
                   : "rcs",
          isFirst ? "i" : "o", isFirst ? 0 : block, isRight || !isLast ? block : rank);
    }
    text += "</tb></gpu>";
  }
  return text + "</algo>";
}

class Files : public testing::Test {
 protected:
  ~Files() override { unlink(path_.c_str()); }
  RunOptions optionsFor(const Setting& setting, const std::string& text) const {
    std::ofstream(path_) << text;
    RunOptions options;
    options.setting = setting;
    options.environment = {{"TUTTI_MSCCL_FILE", path_}};
    return options;
  }

  std::string path_ = testing::TempDir() + fmt::format("tutti_{}_files.xml", getpid());
};

bool isDescribed(RankContext& context, const std::string& wanted) {
  const char* text = nullptr;
  TUTTI_REQUIRE(context, tuttiCommDescribe(context.comm(), &text));
  return std::string(text).find(wanted) != std::string::npos;
}

TEST_F(Files, AreRun) {
  for (const int size : {2, 3, 5}) {
    for (const Launch launch : {Launch::kThreads, Launch::kProcesses}) {
      runRanks(optionsFor({launch, size}, ringAllGather(size)), [](RankContext& context) {
        for (const size_t count : {size_t{1}, size_t{1001}, size_t{70'001}}) {
          for (const bool isInPlace : {false, true}) {
            exercise(context, {.kind = Kind::kAllGather, .count = count, .isInPlace = isInPlace});
          }
          exercise(context, {.kind = Kind::kAllReduce, .count = count});
        }
        TUTTI_CHECK(context, isDescribed(context, "\"msccl\""));
      });
    }
  }
}

// They are not for these: everything goes on as if there were none.
TEST_F(Files, OfAnotherSizeAreLeftOut) {
  runRanks(optionsFor({Launch::kThreads, 3}, ringAllGather(4)), [](RankContext& context) {
    exercise(context, {.kind = Kind::kAllGather, .count = 1000});
    TUTTI_CHECK(context, !isDescribed(context, "\"msccl\""));
  });
}

void requireRefused(RankContext& context, const std::string& part) {
  const tuttiUniqueId id = context.newId();
  tuttiComm_t comm = nullptr;
  const auto result = tuttiCommInitRank(&comm, context.size(), id, context.rank());
  const std::string error = tuttiGetLastError(nullptr);
  // A rank that fails first takes the others along, and they say so.
  const bool isNamed = error.find(part) != std::string::npos;
  if (result != tuttiSuccess && (isNamed || result == tuttiRemoteError)) return;
  context.fail(fmt::format("result {}: {}", static_cast<int>(result), error));
}

TEST_F(Files, ThatAreWrongAreRefused) {
  for (const std::string& text : {ringAllGather(3, false), std::string("<algo")}) {
    auto options = optionsFor({Launch::kProcesses, 3}, text);
    options.makesComm = false;
    runRanks(options, [](RankContext& context) { requireRefused(context, "TUTTI-E0311"); });
  }
}

TEST_F(Files, OfOneRankOnlyAreRefused) {
  auto options = optionsFor({Launch::kProcesses, 3}, ringAllGather(3));
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    if (context.rank() == 1) unsetenv("TUTTI_MSCCL_FILE");
    requireRefused(context, "TUTTI-E0131");
  });
}

}  // namespace
}  // namespace tutti::test
