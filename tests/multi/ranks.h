// Ranks for tests: runs one body per rank, with the ranks as threads of one process, as processes,
// or as two processes of several threads.
//
// The test program itself never calls Tutti and has one thread, so it may fork: every run gets
// fresh processes, with their own environment. What ranks tell each other outside Tutti, and their
// failures, travel over a Board in shared memory, so a crash is a failed test and not the end of
// the program. Every run has a wall-clock limit, after which its processes are killed.
#pragma once

#include <tutti/tutti.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/sanitized.h"

namespace tutti::test {

enum class Launch {
  kThreads,    // one process, a thread and a tuttiCommInitRank for each rank
  kProcesses,  // a process for each rank
  kMixed,      // two processes; even and odd ranks are threads of one each
  kInitAll,    // one process and tuttiCommInitAll
};

struct Setting {
  Launch launch = Launch::kThreads;
  int size = 1;
};

// "threads_5", "processes_3" ...: part of test names.
std::string name(const Setting& setting);
void PrintTo(const Setting& setting, std::ostream* out);

// The settings most tests run in; few of them in sanitizer builds.
std::vector<Setting> allSettings();
std::vector<Setting> fewSettings();
// `settings` with threads and with processes, less the latter under the thread sanitizer.
std::vector<Setting> seen(std::vector<Setting> settings);

// Shared by all ranks of one run.
struct Board {
  static constexpr int kMaxRanks = 64;
  static constexpr int kMaxIds = 512;
  static constexpr int kValues = 16;
  struct Slot {
    std::atomic<uint32_t> barriers;
    std::atomic<uint32_t> hasFailed;
    std::atomic<int64_t> failedAtNs;
    std::atomic<uint64_t> published;
    char failure[4096];
    char doing[256];  // what the rank is at, for reports of hangs
  };
  std::atomic<uint32_t> isIdReady[kMaxIds];
  tuttiUniqueId ids[kMaxIds];
  std::atomic<uint64_t> values[kValues];  // for a test's own use; zero at first
  Slot slots[kMaxRanks];
};

// Ends a rank's body after its failure was written to the Board.
struct RankFailed {};

int64_t nowNs();
void sleepMs(int milliseconds);

class RankContext {
 public:
  RankContext(Board& board, int rank, int size) : board_(board), rank_(rank), size_(size) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  tuttiComm_t comm() const { return comm_; }
  void setComm(tuttiComm_t comm) { comm_ = comm; }
  Board& board() { return board_; }

  // Fails the test unless `result` is tuttiSuccess. `what` names the call.
  void require(tuttiResult_t result, const char* what, const char* file, int line);
  // Fails the test unless `result` is `expected` and the last error holds `text`.
  void requireError(tuttiResult_t result, tuttiResult_t expected, const std::string& text,
                    const char* what, const char* file, int line);
  void check(bool isTrue, const char* what, const char* file, int line);
  [[noreturn]] void fail(const std::string& text);
  // What a report of a hang will show.
  void doing(const std::string& text);

  // Waits for all ranks, without Tutti.
  void barrier();
  // Fails unless all ranks pass the same value. Collective.
  void requireSame(uint64_t value, const std::string& what);
  // An id that the lowest rank makes and the others get. Collective.
  tuttiUniqueId newId();
  // Another communicator of the same ranks. Collective.
  tuttiComm_t newComm(tuttiConfig_t* config = nullptr);
  // Polls until a non-blocking communicator is no longer at it.
  tuttiResult_t settle(tuttiComm_t comm);
  // Waits until values[index] of the board is at least `value`.
  void awaitValue(int index, uint64_t value);

 private:
  [[noreturn]] void giveUp();

  Board& board_;
  int rank_;
  int size_;
  tuttiComm_t comm_ = nullptr;
  uint32_t barriers_ = 0;
  int ids_ = 0;
};

#define TUTTI_REQUIRE(context, call) (context).require((call), #call, __FILE__, __LINE__)
#define TUTTI_REQUIRE_ERROR(context, call, expected, text) \
  (context).requireError((call), (expected), (text), #call, __FILE__, __LINE__)
#define TUTTI_CHECK(context, condition) \
  (context).check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

struct RunOptions {
  Setting setting;
  // false: the body makes its communicators itself.
  bool makesComm = true;
  // 0: no timeout given. In milliseconds.
  int timeoutMs = 0;
  // Set in every process before it calls Tutti.
  std::vector<std::pair<std::string, std::string>> environment;
  // Ranks whose processes may be ended by a signal; those left at the end are killed.
  std::vector<int> mayDie;
  // Called in every process before its first rank; false skips the test.
  std::function<bool()> prepare;
  std::chrono::seconds limit{kIsSanitized ? 240 : 60};
};

using Body = std::function<void(RankContext&)>;

// Runs `body` once per rank and reports failures to GoogleTest. Destroys the ranks' communicators.
void runRanks(const RunOptions& options, const Body& body);
inline void runRanks(const Setting& setting, const Body& body) {
  RunOptions options;
  options.setting = setting;
  runRanks(options, body);
}

}  // namespace tutti::test
