// Hand-overs between two processes on two cores, with nothing of the engine around them: a bare
// cache line, and the FIFO slots of transports/mapped.h. What latency_bench reaches is held against
// this. Times are round trips.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "transports/mapped.h"

namespace {

using tutti::transports::FifoSlot;
using tutti::transports::kLine;
using tutti::transports::makeTag;
using tutti::transports::tagNumber;

constexpr uint32_t kStop = ~uint32_t{0};

struct Arena {
  alignas(kLine) std::atomic<uint32_t> ping;
  alignas(kLine) std::atomic<uint32_t> pong;
  FifoSlot there;
  FifoSlot back;
};

// Memory of a memfd, as the shm transport maps it.
Arena* mapArena() {
  const int fd = memfd_create("tutti-fifo-bench", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, sizeof(Arena)) != 0) std::abort();
  void* at = mmap(nullptr, sizeof(Arena), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) std::abort();
  return static_cast<Arena*>(at);
}

void pinTo(int core) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core % static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)), &one);
  sched_setaffinity(0, sizeof(one), &one);
}

// Spins; gives the core away where the other process does not seem to have one.
class Spinner {
 public:
  void pause() {
    if (++spins_ > 20000) sched_yield();
  }

 private:
  int spins_ = 0;
};

// Runs `answer` in a process of its own on the second core, itself on the first.
template <typename Answer>
pid_t startPeer(Answer answer) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    pinTo(1);
    answer();
    _exit(0);
  }
  pinTo(0);
  return child;
}

uint32_t waitForChange(const std::atomic<uint32_t>& word, uint32_t old) {
  for (Spinner spinner;; spinner.pause()) {
    const uint32_t now = word.load(std::memory_order_acquire);
    if (now != old) return now;
  }
}

void cacheLine(benchmark::State& state) {
  Arena* arena = mapArena();
  const pid_t peer = startPeer([arena] {
    for (uint32_t seen = 0; seen != kStop;) {
      seen = waitForChange(arena->ping, seen);
      arena->pong.store(seen, std::memory_order_release);
    }
  });
  uint32_t number = 0;
  const auto trip = [&] {
    arena->ping.store(++number, std::memory_order_release);
    waitForChange(arena->pong, number - 1);
  };
  trip();  // the peer is there
  for (auto _ : state) trip();
  arena->ping.store(kStop, std::memory_order_release);
  waitpid(peer, nullptr, 0);
  munmap(arena, sizeof(Arena));
}
BENCHMARK(cacheLine)->UseRealTime();

void put(FifoSlot& slot, uint32_t number, const std::byte* from, size_t bytes) {
  std::memcpy(slot.data(bytes), from, bytes);
  slot.bytes = bytes;
  slot.tag.store(makeTag(number, 0), std::memory_order_release);
}

uint32_t take(FifoSlot& slot, uint32_t old, std::byte* to) {
  uint64_t tag = 0;
  for (Spinner spinner;; spinner.pause()) {
    tag = slot.tag.load(std::memory_order_acquire);
    if (tagNumber(tag) != old) break;
  }
  std::memcpy(to, slot.data(slot.bytes), slot.bytes);
  return tagNumber(tag);
}

// One slot each way; the argument is the message's length.
void fifoSlot(benchmark::State& state) {
  static std::byte data[sizeof(FifoSlot)];
  Arena* arena = mapArena();
  const auto bytes = static_cast<size_t>(state.range(0));
  const pid_t peer = startPeer([arena, bytes] {
    for (uint32_t seen = 0; seen != kStop;) {
      seen = take(arena->there, seen, data);
      put(arena->back, seen, data, bytes);
    }
  });
  uint32_t number = 0;
  const auto trip = [&] {
    put(arena->there, ++number, data, bytes);
    take(arena->back, number - 1, data);
  };
  trip();
  for (auto _ : state) trip();
  put(arena->there, kStop, data, 0);
  waitpid(peer, nullptr, 0);
  munmap(arena, sizeof(Arena));
}
BENCHMARK(fifoSlot)->Arg(8)->Arg(48)->Arg(256)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
