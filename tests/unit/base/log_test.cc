#include "src/base/log.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>

#include "src/base/host.h"

namespace tutti::base {
namespace {

// Runs `body` in a child with the given variables and returns what the log wrote to a file.
std::string logOf(const char* level, const char* subsystems, void (*body)()) {
  const std::string base = "/tmp/tutti-log-test-" + std::to_string(getpid());
  const pid_t child = fork();
  if (child == 0) {
    setenv("TUTTI_DEBUG", level, 1);
    setenv("TUTTI_DEBUG_SUBSYS", subsystems, 1);
    setenv("TUTTI_DEBUG_FILE", (base + "-%p-%h").c_str(), 1);
    setenv("TUTTI_TIMEOUTT", "1", 1);
    body();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  const std::string path = base + "-" + std::to_string(child) + "-" + hostName();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  unlink(path.c_str());
  return text.str();
}

int evaluations = 0;
int countEvaluation() { return ++evaluations; }

TEST(Log, LinesHaveHostProcessThreadAndRank) {
  const std::string text = logOf("INFO", "NET", [] {
    const LogRankScope scope(7);
    TUTTI_LOG_INFO(kNet, "sent {} bytes", 5);
    TUTTI_LOG_INFO(kColl, "not shown");
    TUTTI_LOG_TRACE(kNet, "not shown");
  });
  EXPECT_TRUE(
      std::regex_search(text, std::regex("[^:\n]+:\\d+:\\d+ \\[7\\] TUTTI INFO sent 5 bytes\n")))
      << text;
  EXPECT_EQ(text.find("not shown"), std::string::npos);
}

TEST(Log, UnknownParametersAreWarnedAboutOnce) {
  const std::string text = logOf("WARN", "ALL", [] {
    TUTTI_LOG_WARN("first");
    TUTTI_LOG_WARN("second");
    TUTTI_LOG_INFO(kInit, "not shown");
  });
  const size_t warning = text.find("did you mean TUTTI_TIMEOUT?");
  EXPECT_NE(warning, std::string::npos) << text;
  EXPECT_EQ(text.find("did you mean", warning + 1), std::string::npos) << text;
  EXPECT_NE(text.find("TUTTI WARN second"), std::string::npos);
  EXPECT_EQ(text.find("not shown"), std::string::npos);
}

TEST(Log, OneEntryIsOneLine) {
  const std::string text =
      logOf("WARN", "ALL", [] { TUTTI_LOG_WARN("{}", "evil\nhost:1:1 [0] TUTTI WARN forged"); });
  EXPECT_NE(text.find("evil host:1:1"), std::string::npos) << text;
}

TEST(Log, ArgumentsOfLinesThatAreOffAreNotEvaluated) {
  EXPECT_EQ(logOf("NONE", "ALL",
                  [] {
                    TUTTI_LOG_WARN("{}", countEvaluation());
                    evaluations = 0;  // the very first line reads the configuration
                    TUTTI_LOG_WARN("{}", countEvaluation());
                    TUTTI_LOG_TRACE(kInit, "{}", countEvaluation());
                    if (evaluations != 0) _exit(1);
                    TUTTI_LOG_VERSION("not shown");
                  }),
            "");
}

TEST(Log, ChildAfterForkHasItsOwnFile) {
  const std::string text = logOf("WARN", "ALL", [] {
    TUTTI_LOG_WARN("parent");
    if (fork() == 0) {
      TUTTI_LOG_WARN("child");
      unlink(("/tmp/tutti-log-test-" + std::to_string(getppid())).c_str());
      _exit(0);
    }
    wait(nullptr);
  });
  EXPECT_NE(text.find("parent"), std::string::npos);
  EXPECT_EQ(text.find("WARN child"), std::string::npos);
}

TEST(Log, Switches) {
  EXPECT_EQ(parseLogLevel("trace"), LogLevel::kTrace);
  EXPECT_EQ(parseLogLevel("nonsense"), LogLevel::kWarn);
  const uint64_t netInfo = LogSwitches::infoBit(Subsystem::kNet);
  const uint64_t netTrace = LogSwitches::traceBit(Subsystem::kNet);
  EXPECT_EQ(parseLogSwitches(LogLevel::kNone, "ALL"), 0u);
  EXPECT_EQ(parseLogSwitches(LogLevel::kWarn, "ALL") & (netInfo | netTrace), 0u);
  EXPECT_NE(parseLogSwitches(LogLevel::kInfo, "init,net") & netInfo, 0u);
  EXPECT_EQ(parseLogSwitches(LogLevel::kInfo, "init,net") & netTrace, 0u);
  EXPECT_EQ(parseLogSwitches(LogLevel::kInfo, "^NET") & netInfo, 0u);
  EXPECT_NE(parseLogSwitches(LogLevel::kTrace, "ALL") & netTrace, 0u);
}

}  // namespace
}  // namespace tutti::base
