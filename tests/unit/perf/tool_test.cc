// A tool as people run it: what it says when something is wrong, and its exit codes.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace {

struct Output {
  int code = -1;
  std::string text;  // stdout and stderr

  bool has(const std::string& part) const { return text.find(part) != std::string::npos; }
};

// `$TOOL` in the command is all_reduce_perf.
Output shell(const std::string& command) {
  const std::string full = "exec 2>&1; TOOL=" TUTTI_PERF_TOOL "; " + command;
  FILE* pipe = popen(full.c_str(), "r");
  Output output;
  std::array<char, 4096> part;
  for (size_t got; (got = fread(part.data(), 1, part.size(), pipe)) > 0;) {
    output.text.append(part.data(), got);
  }
  const int status = pclose(pipe);
  output.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

void expectSays(const std::string& command, int code, const std::string& part) {
  const Output output = shell(command);
  EXPECT_EQ(output.code, code) << command << "\n" << output.text;
  EXPECT_TRUE(output.has(part)) << command << "\n" << output.text;
}

TEST(Tool, RefusesWhatItCanNotUse) {
  expectSays("$TOOL -d flaot", 2, "unknown data type 'flaot'; known are int8 ");
  expectSays("$TOOL -o summ", 2, "unknown operator 'summ'; known are sum ");
  expectSays("$TOOL -e 8", 2, "-b, --minbytes (33554432, the default) is above");
  expectSays("$TOOL -f -2 -b 8 -e 64", 2, "--stepfactor");
  expectSays("$TOOL --min-time -1", 2, "--min-time");
  expectSays("$TOOL --min-bw -1", 2, "--min-bw");
  expectSays("NCCL_TESTS_MIN_BW=fast $TOOL -b 8 -e 8", 2, "NCCL_TESTS_MIN_BW: 'fast' is no number");
  expectSays("$TOOL -b 1000T -e 1000T", 2, "do not fit into memory");
  expectSays("$TOOL -I 1 -K 5 -n 5", 2, "-K, --per_iter_skip must be below -n");
}

TEST(Tool, NotesWhatDoesNothing) {
  expectSays("$TOOL -K 5 -n 5 -b 8 -e 8", 0, "note: -K, --per_iter_skip does nothing without -I 1");
}

TEST(Tool, NamesTheDevice) {
  for (const char* command :
       {"TUTTI_DEVICE=abacus $TOOL -b 8 -e 8 -g 2", "$TOOL --devices host,abacus -b 8 -e 8 -g 2"}) {
    const Output output = shell(command);
    EXPECT_EQ(output.code, 4) << output.text;
    EXPECT_TRUE(output.has("rank 1 has no usable device: ")) << output.text;
    EXPECT_TRUE(output.has("no device \"abacus\"")) << output.text;
    EXPECT_FALSE(output.has("''")) << output.text;
  }
}

TEST(Tool, SaysWhyItFails) {
  expectSays("$TOOL -b 8 -e 8 -g 2 --min-bw 1000000", 3, "TUTTI-E0503 the average bus bandwidth");
  expectSays("TUTTI_RANK=0 $TOOL -b 8 -e 8", 2, "cannot tell who launched this process");
  expectSays("TUTTI_RANK=0 $TOOL -b 8 -e 8", 2, "TUTTI_RANK is set without TUTTI_SIZE");
}

// One of two processes is stopped: the other one says which rank it waits for.
TEST(Tool, TimeoutNamesTheLateRank) {
  const Output output = shell(
      "$TOOL -p 2 -N 0 -T 1 -b 8 -e 8 > /dev/null & tool=$!; sleep 1; "
      "kill -STOP $(cut -d' ' -f2 /proc/$tool/task/$tool/children); wait $tool");
  EXPECT_EQ(output.code, 5) << output.text;
  EXPECT_TRUE(output.has("rank 1 (process ") || output.has("rank 1 is silent")) << output.text;
}

}  // namespace
