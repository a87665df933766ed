// The log: levels and subsystems as in NCCL, set by TUTTI_DEBUG and TUTTI_DEBUG_SUBSYS.
//
// Lines look like "host:pid:tid [rank] TUTTI INFO text". They go to stderr, not to stdout as NCCL's
// do, because programs that report results on stdout must stay parsable; TUTTI_DEBUG_FILE (with %h
// for the host and %p for the process) names a file instead.
//
//   TUTTI_LOG_WARN("rank {} is late", rank);
//   TUTTI_LOG_INFO(kInit, "joined {} ranks in {:.1f} ms", size, ms);
//   TUTTI_LOG_TRACE(kNet, "sent {} bytes", bytes);
//
// Formats are fmt's, checked at compile time. A macro whose line is off costs one relaxed load and
// does not evaluate its arguments. Any thread; also while the process exits and in a child after
// fork. Each line is one write.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <fmt/core.h>

namespace tutti::base {

enum class LogLevel : int { kNone = 0, kVersion, kWarn, kInfo, kAbort, kTrace };

enum class Subsystem : uint32_t {
  kInit = 1u << 0,
  kColl = 1u << 1,
  kP2p = 1u << 2,
  kShm = 1u << 3,
  kNet = 1u << 4,
  kGraph = 1u << 5,
  kTuning = 1u << 6,
  kEnv = 1u << 7,
  kAlloc = 1u << 8,
  kCall = 1u << 9,
  kProxy = 1u << 10,
  kBootstrap = 1u << 11,
  kReg = 1u << 12,
};

// What is switched on, in one word: bit 0..15 subsystems at INFO, 16..31 subsystems at TRACE, then
// WARN and VERSION. All ones until the first line is asked for, so that it takes the slow path,
// which reads the configuration.
struct LogSwitches {
  static constexpr uint64_t kWarn = uint64_t{1} << 32;
  static constexpr uint64_t kVersion = uint64_t{1} << 33;
  static constexpr uint64_t kUnread = ~uint64_t{0};
  static constexpr uint64_t infoBit(Subsystem subsystem) {
    return static_cast<uint64_t>(subsystem);
  }
  static constexpr uint64_t traceBit(Subsystem subsystem) {
    return static_cast<uint64_t>(subsystem) << 16;
  }
};

// The only mutable state of the log that is not in log.cc; written once.
extern std::atomic<uint64_t> logSwitches;

inline bool isLogged(uint64_t bit) {
  return (logSwitches.load(std::memory_order_relaxed) & bit) != 0;
}

// Writes one line if `bit` is on. Use the macros.
void writeLog(uint64_t bit, const char* levelName, fmt::string_view format, fmt::format_args args);

template <typename... Args>
void logLine(uint64_t bit, const char* levelName, fmt::format_string<Args...> format,
             Args&&... args) {
  writeLog(bit, levelName, format, fmt::make_format_args(args...));
}

// The rank that the calling thread drives, shown in its lines; -1: none. Returns the one before.
int setLogRank(int rank);

// Shows `rank` in the calling thread's lines while it lives.
class LogRankScope {
 public:
  explicit LogRankScope(int rank) : before_(setLogRank(rank)) {}
  ~LogRankScope() { setLogRank(before_); }
  LogRankScope(const LogRankScope&) = delete;
  LogRankScope& operator=(const LogRankScope&) = delete;

 private:
  int before_;
};

// Level of a name such as "info" (any case), kWarn for an unknown one.
LogLevel parseLogLevel(std::string_view name);

// Switches for a level and a list of subsystems ("INIT,NET", "^COLL", "ALL"). Unknown words are
// ignored.
uint64_t parseLogSwitches(LogLevel level, std::string_view subsystems);

}  // namespace tutti::base

#define TUTTI_LOG_AT_(bit, name, ...)                                                 \
  do {                                                                                \
    if (::tutti::base::isLogged(bit)) ::tutti::base::logLine(bit, name, __VA_ARGS__); \
  } while (false)

#define TUTTI_LOG_VERSION(...) \
  TUTTI_LOG_AT_(::tutti::base::LogSwitches::kVersion, "VERSION", __VA_ARGS__)
#define TUTTI_LOG_WARN(...) TUTTI_LOG_AT_(::tutti::base::LogSwitches::kWarn, "WARN", __VA_ARGS__)
#define TUTTI_LOG_INFO(subsystem, ...)                                                            \
  TUTTI_LOG_AT_(::tutti::base::LogSwitches::infoBit(::tutti::base::Subsystem::subsystem), "INFO", \
                __VA_ARGS__)
#define TUTTI_LOG_TRACE(subsystem, ...)                                                    \
  TUTTI_LOG_AT_(::tutti::base::LogSwitches::traceBit(::tutti::base::Subsystem::subsystem), \
                "TRACE", __VA_ARGS__)
