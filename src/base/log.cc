#include "src/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/host.h"

namespace tutti::base {

constinit std::atomic<uint64_t> logSwitches{LogSwitches::kUnread};

namespace {

constexpr std::array<std::pair<std::string_view, LogLevel>, 6> kLevels{{
    {"NONE", LogLevel::kNone},
    {"VERSION", LogLevel::kVersion},
    {"WARN", LogLevel::kWarn},
    {"INFO", LogLevel::kInfo},
    {"ABORT", LogLevel::kAbort},
    {"TRACE", LogLevel::kTrace},
}};

constexpr std::array<std::pair<std::string_view, Subsystem>, 13> kSubsystems{{
    {"INIT", Subsystem::kInit},
    {"COLL", Subsystem::kColl},
    {"P2P", Subsystem::kP2p},
    {"SHM", Subsystem::kShm},
    {"NET", Subsystem::kNet},
    {"GRAPH", Subsystem::kGraph},
    {"TUNING", Subsystem::kTuning},
    {"ENV", Subsystem::kEnv},
    {"ALLOC", Subsystem::kAlloc},
    {"CALL", Subsystem::kCall},
    {"PROXY", Subsystem::kProxy},
    {"BOOTSTRAP", Subsystem::kBootstrap},
    {"REG", Subsystem::kReg},
}};

constexpr uint64_t kAllSubsystems = (1u << kSubsystems.size()) - 1;

thread_local int threadRank = -1;

std::string toUpper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

uint64_t parseSubsystems(std::string_view list) {
  const bool isNegated = !list.empty() && list.front() == '^';
  if (isNegated) list.remove_prefix(1);
  uint64_t mask = 0;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string word = toUpper(list.substr(0, comma));
    if (word == "ALL") mask = kAllSubsystems;
    for (const auto& [name, subsystem] : kSubsystems) {
      if (word == name) mask |= static_cast<uint64_t>(subsystem);
    }
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return isNegated ? kAllSubsystems & ~mask : mask;
}

std::string expandPath(std::string_view pattern) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 'h') {
      path += hostName();
    } else if (next == 'p') {
      path += std::to_string(getpid());
    } else {
      path += pattern[i];
      continue;
    }
    ++i;
  }
  return path;
}

// The process and descriptor of the open log file, packed as pid << 32 | fd; 0: not open. One
// atomic instead of a lock, because a lock held by another thread at fork would stay locked in the
// child.
constinit std::atomic<uint64_t> openFile{0};

int logDescriptor() {
  const std::string& pattern = processConfig().get(param::kDebugFile);
  if (pattern.empty()) return STDERR_FILENO;
  uint64_t open = openFile.load(std::memory_order_acquire);
  const uint64_t pid = static_cast<uint32_t>(getpid());
  if (open != 0 && open >> 32 == pid) return static_cast<int>(open & 0xffffffffu);
  const int fd =
      ::open(expandPath(pattern).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return STDERR_FILENO;
  if (!openFile.compare_exchange_strong(open, pid << 32 | static_cast<uint32_t>(fd))) {
    close(fd);
    return static_cast<int>(open & 0xffffffffu);
  }
  return fd;
}

void writeLine(const char* levelName, fmt::string_view format, fmt::format_args args) {
  static const std::string* const host = new std::string(hostName());
  fmt::memory_buffer line;
  auto out = fmt::appender(line);
  fmt::format_to(out, "{}:{}:{} ", *host, getpid(), gettid());
  if (threadRank >= 0) {
    fmt::format_to(out, "[{}] ", threadRank);
  } else {
    fmt::format_to(out, "[-] ");
  }
  fmt::format_to(out, "TUTTI {} ", levelName);
  const size_t start = line.size();
  fmt::vformat_to(out, format, args);
  // One entry stays one line, whatever a peer or the environment put into it.
  for (size_t i = start; i < line.size(); ++i) {
    if (static_cast<unsigned char>(line[i]) < ' ') line[i] = ' ';
  }
  line.push_back('\n');
  // Nobody to tell if it fails, or if a full disk takes only a part.
  [[maybe_unused]] const ssize_t written = write(logDescriptor(), line.data(), line.size());
}

void readSwitches() {
  const Config& config = processConfig();
  uint64_t expected = LogSwitches::kUnread;
  const uint64_t switches =
      parseLogSwitches(parseLogLevel(config.get(param::kDebug)), config.get(param::kDebugSubsys));
  if (!logSwitches.compare_exchange_strong(expected, switches)) return;
  for (const std::string& warning : config.warnings()) TUTTI_LOG_WARN("{}", warning);
  for (size_t i = 0; i < config.values().size(); ++i) {
    const ConfigValue& value = config.values()[i];
    if (!value.isSet) continue;
    TUTTI_LOG_INFO(kEnv, "TUTTI_{}={} from {}", parameters()[i].name, config.shown(i),
                   value.origin);
  }
}

}  // namespace

void writeLog(uint64_t bit, const char* levelName, fmt::string_view format, fmt::format_args args) {
  if (logSwitches.load(std::memory_order_relaxed) == LogSwitches::kUnread) readSwitches();
  const int savedErrno = errno;
  if (isLogged(bit)) writeLine(levelName, format, args);
  errno = savedErrno;
}

int setLogRank(int rank) { return std::exchange(threadRank, rank); }

LogLevel parseLogLevel(std::string_view name) {
  const std::string upper = toUpper(name);
  for (const auto& [known, level] : kLevels) {
    if (upper == known) return level;
  }
  return LogLevel::kWarn;
}

uint64_t parseLogSwitches(LogLevel level, std::string_view subsystems) {
  const uint64_t mask = parseSubsystems(subsystems);
  uint64_t switches = 0;
  if (level >= LogLevel::kVersion) switches |= LogSwitches::kVersion;
  if (level >= LogLevel::kWarn) switches |= LogSwitches::kWarn;
  if (level >= LogLevel::kInfo) switches |= mask;
  if (level >= LogLevel::kTrace) switches |= mask << 16;
  return switches;
}

}  // namespace tutti::base
