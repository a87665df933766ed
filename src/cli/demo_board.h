// What the ranks of a demonstration write and the process that started them reads. It lies in
// memory that forked children share; everything in it is plain bytes or lock-free atomics.
#pragma once

#include <tutti/tutti.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace tutti::cli {

inline constexpr int kMaxRanks = 64;
inline constexpr int kMaxChecks = 16;
inline constexpr int kMaxRows = 24;

// What a rank is at; the upper byte of RankSlot::doing. The rest is the number of the check, or the
// bytes that are measured.
enum class Stage : uint8_t { kStart, kJoin, kCheck, kBandwidth, kMeasure, kLeave };

enum class RankState : uint32_t { kRunning, kDone, kFailed };

struct RankSlot {
  std::atomic<uint32_t> state;  // RankState; release after the texts below
  std::atomic<uint64_t> doing;
  std::atomic<uint64_t> beats;  // grows whenever the rank gets on
  std::atomic<uint64_t> wrong;  // elements
  int result;                   // tuttiResult_t of the failure
  uint32_t order;               // which failure this was, from 1
  char error[2048];
  char wrongText[256];  // the first wrong element
};

// One measurement, the same on all ranks: the slowest rank's time, the sum of the wrong elements.
struct Cell {
  double microseconds;
  uint64_t wrong;
  char algorithm[32];  // "" where the library did not say
};

struct Row {
  uint64_t bytes;
  Cell plain;       // memory from malloc
  Cell registered;  // memory from tuttiMemAlloc
};

struct Board {
  std::atomic<uint32_t> hasId;
  tuttiUniqueId id;
  RankSlot ranks[kMaxRanks];
  std::atomic<uint32_t> failures;

  // Written by rank 0, each before the count that covers it (release).
  std::atomic<int> joined;  // 1 once `path` stands
  char path[64];            // "shm": how ranks reach each other
  double joinMilliseconds;
  std::atomic<int> checksDone;
  Cell checks[kMaxChecks];
  double memoryRate;  // bytes per second read plus written, all ranks at once; 0: not measured
  std::atomic<int> rowsDone;
  Row rows[kMaxRows];
  double latencyMedian;  // of single 8-byte all-reduces, microseconds
  double latencyTail;    // 99 of 100 are at most this
};

inline uint64_t doingWord(Stage stage, uint64_t value) {
  return (static_cast<uint64_t>(stage) << 56) | value;
}

// Copies into a text of the board, cut at its end.
template <size_t kBytes>
void setText(char (&to)[kBytes], std::string_view text) {
  to[text.copy(to, kBytes - 1)] = '\0';
}

}  // namespace tutti::cli
