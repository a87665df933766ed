/* What this machine can do, with no library: the marks that latency and bandwidth are held against.
 *
 *   limits pingpong              a cache line handed from one pinned process to another and back
 *   limits memory RANKS BYTES    RANKS processes at once: the all-reduce of RANKS vectors of BYTES
 *                                with no synchronisation inside. Each process adds its share of the
 *                                elements from all inputs and stores it to all outputs, so every
 *                                input is read once and every output written once:
 *                                2 * RANKS * BYTES bytes move. Also plain copies of all vectors.
 *   limits staged BYTES          two pinned processes all-reduce private vectors of BYTES, which
 *                                neither can map, through shared slots: each copies its vector to
 *                                slots and adds the other's slots to it, and does nothing else.
 *                                What a staged all-reduce of two processes can reach here.
 *
 * One line of JSON on stdout. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "streams.h"

enum { kSlots = 4, kSlotBytes = 64 << 10 };
enum { kLine = 128, kBatches = 21, kRoundTrips = 5000, kPasses = 5 };

typedef struct {
  _Alignas(kLine) atomic_uint ping;
  _Alignas(kLine) atomic_uint pong;
  _Alignas(kLine) atomic_uint arrived;
  _Alignas(kLine) double seconds[kMaxStreams];
} Shared;

static double secondsNow(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compareDoubles(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

static void* mapShared(size_t bytes) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    perror("limits: mmap");
    exit(1);
  }
  madvise(at, bytes, MADV_HUGEPAGE);
  return at;
}

/* Pins to the index-th processor that is allowed. Returns 0 where there are not that many. */
static int pinTo(int index) {
  cpu_set_t allowed;
  cpu_set_t one;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0;
  }
  return 0;
}

/* Gives the core away where the other process does not seem to have one: a loaded machine makes the
 * figure bad, but not the wait endless. */
static void waitFor(atomic_uint* word, unsigned value) {
  for (unsigned spins = 0; atomic_load_explicit(word, memory_order_acquire) != value; ++spins) {
    if (spins > 20000) sched_yield();
  }
}

static void answerPings(Shared* shared) {
  const unsigned last = kBatches * kRoundTrips;
  for (unsigned i = 1; i <= last; ++i) {
    waitFor(&shared->ping, i);
    atomic_store_explicit(&shared->pong, i, memory_order_release);
  }
}

static int pingPong(void) {
  Shared* shared = mapShared(sizeof(Shared));
  double ns[kBatches];
  unsigned next = 0;
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  if (CPU_COUNT(&allowed) < 2) {
    printf("{\"round_trip_ns\": null}\n");
    return 0;
  }
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pinTo(1);
    answerPings(shared);
    _exit(0);
  }
  pinTo(0);
  for (int batch = 0; batch < kBatches; ++batch) {
    const double start = secondsNow();
    for (int i = 0; i < kRoundTrips; ++i) {
      atomic_store_explicit(&shared->ping, ++next, memory_order_release);
      waitFor(&shared->pong, next);
    }
    ns[batch] = (secondsNow() - start) * 1e9 / kRoundTrips;
  }
  wait(NULL);
  qsort(ns, kBatches, sizeof(ns[0]), compareDoubles);
  printf("{\"round_trip_ns\": %.1f, \"best_ns\": %.1f}\n", ns[kBatches / 2], ns[0]);
  return 0;
}

static void meet(Shared* shared, unsigned ranks, unsigned* round) {
  const unsigned target = ++*round * ranks;
  atomic_fetch_add(&shared->arrived, 1);
  while (atomic_load(&shared->arrived) < target) sched_yield();
}

typedef enum { kReduceStreaming, kReduceCached, kCopyStreaming, kCopyCached, kKernels } Kernel;

static const char* const kKernelNames[kKernels] = {"reduce_streaming", "reduce_cached",
                                                   "copy_streaming", "copy_cached"};

static void runKernel(Kernel kernel, int rank, int ranks, float** inputs, float** outputs,
                      size_t count) {
  const float* sources[kMaxStreams];
  float* destinations[kMaxStreams];
  const size_t share = count / (size_t)ranks;
  for (int i = 0; i < ranks; ++i) {
    sources[i] = inputs[i] + (size_t)rank * share;
    destinations[i] = outputs[i] + (size_t)rank * share;
  }
  switch (kernel) {
    case kReduceStreaming: streamReduce(sources, ranks, destinations, ranks, share, 1); break;
    case kReduceCached: streamReduce(sources, ranks, destinations, ranks, share, 0); break;
    case kCopyStreaming: streamCopy(outputs[rank], inputs[rank], count, 1); break;
    default: streamCopy(outputs[rank], inputs[rank], count, 0); break;
  }
}

/* All ranks run every kernel kPasses times together; rank 0 keeps the times of the slowest. */
static void measure(Shared* shared, int rank, int ranks, float** inputs, float** outputs,
                    size_t count, double times[kKernels][kPasses]) {
  unsigned round = 0;
  memset(inputs[rank], 0, count * sizeof(float));
  memset(outputs[rank], 0, count * sizeof(float));
  for (int pass = -1; pass < kPasses; ++pass) {
    for (int kernel = 0; kernel < kKernels; ++kernel) {
      meet(shared, (unsigned)ranks, &round);
      const double start = secondsNow();
      runKernel((Kernel)kernel, rank, ranks, inputs, outputs, count);
      shared->seconds[rank] = secondsNow() - start;
      meet(shared, (unsigned)ranks, &round);
      double slowest = 0;
      for (int i = 0; i < ranks; ++i) {
        if (shared->seconds[i] > slowest) slowest = shared->seconds[i];
      }
      if (pass >= 0) times[kernel][pass] = slowest;
      meet(shared, (unsigned)ranks, &round);
    }
  }
}

static int memoryBandwidth(int ranks, size_t bytes) {
  const size_t count = bytes / sizeof(float) / (64 * (size_t)ranks) * (64 * (size_t)ranks);
  Shared* shared = mapShared(sizeof(Shared));
  float* inputs[kMaxStreams];
  float* outputs[kMaxStreams];
  double times[kKernels][kPasses];
  int rank = 0;
  for (int i = 0; i < ranks; ++i) {
    inputs[i] = mapShared(bytes);
    outputs[i] = mapShared(bytes);
  }
  for (int i = 1; i < ranks && rank == 0; ++i) {
    if (fork() == 0) rank = i;
  }
  if (rank > 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  measure(shared, rank, ranks, inputs, outputs, count, times);
  if (rank > 0) _exit(0);
  while (wait(NULL) > 0) {
  }
  const double moved = 2.0 * ranks * (double)count * sizeof(float);
  printf("{\"ranks\": %d, \"bytes\": %zu, \"bytes_moved\": %.0f", ranks, count * sizeof(float),
         moved);
  for (int kernel = 0; kernel < kKernels; ++kernel) {
    qsort(times[kernel], kPasses, sizeof(double), compareDoubles);
    printf(", \"%s\": {\"median_us\": %.1f, \"best_us\": %.1f, \"gb_per_s\": %.2f}",
           kKernelNames[kernel], times[kernel][kPasses / 2] * 1e6, times[kernel][0] * 1e6,
           moved / times[kernel][0] * 1e-9);
  }
  printf("}\n");
  return 0;
}

typedef struct {
  _Alignas(kLine) atomic_uint filled;
  _Alignas(kLine) atomic_uint freed;
  _Alignas(4096) char slots[kSlots][kSlotBytes];
} Pipe;

static void waitReached(atomic_uint* word, unsigned value) {
  for (unsigned spins = 0; (int)(atomic_load_explicit(word, memory_order_acquire) - value) < 0;
       ++spins) {
    if (spins > 20000) sched_yield();
  }
}

/* One slot behind: while a slot crosses to the other core, the next one is filled. */
static void runStaged(Pipe* mine, Pipe* theirs, unsigned* turn, const char* input, char* output,
                      size_t bytes) {
  const unsigned blocks = (unsigned)(bytes / kSlotBytes);
  for (unsigned i = 0; i <= blocks; ++i) {
    if (i < blocks) {
      const unsigned next = *turn + i;
      waitReached(&mine->freed, next + 1 - kSlots);
      memcpy(mine->slots[next % kSlots], input + (size_t)i * kSlotBytes, kSlotBytes);
      atomic_store_explicit(&mine->filled, next + 1, memory_order_release);
    }
    if (i == 0) continue;
    const unsigned next = *turn + i - 1;
    const size_t at = (size_t)(i - 1) * kSlotBytes;
    waitReached(&theirs->filled, next + 1);
    const float* sources[2] = {(const float*)(input + at),
                               (const float*)theirs->slots[next % kSlots]};
    float* destination = (float*)(output + at);
    streamReduce(sources, 2, &destination, 1, kSlotBytes / sizeof(float), 1);
    atomic_store_explicit(&theirs->freed, next + 1, memory_order_release);
  }
  *turn += blocks;
}

static int stagedAllReduce(size_t bytes) {
  bytes = bytes / kSlotBytes * kSlotBytes;
  Shared* shared = mapShared(sizeof(Shared));
  Pipe* pipes = mapShared(2 * sizeof(Pipe));
  memset(pipes, 0, 2 * sizeof(Pipe));
  for (int i = 0; i < 2; ++i) atomic_store(&pipes[i].freed, 0);
  const int rank = fork() == 0;
  if (rank > 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  pinTo(rank);
  char* input = aligned_alloc(64, bytes);
  char* output = aligned_alloc(64, bytes);
  if (input == NULL || output == NULL) {
    perror("limits: aligned_alloc");
    exit(1);
  }
  memset(input, 0, bytes);
  memset(output, 0, bytes);
  double times[kPasses];
  unsigned round = 0;
  unsigned turn = 0;
  for (int pass = -1; pass < kPasses; ++pass) {
    meet(shared, 2, &round);
    const double start = secondsNow();
    runStaged(&pipes[rank], &pipes[1 - rank], &turn, input, output, bytes);
    meet(shared, 2, &round);
    if (pass >= 0) times[pass] = secondsNow() - start;
  }
  if (rank > 0) _exit(0);
  wait(NULL);
  qsort(times, kPasses, sizeof(double), compareDoubles);
  printf("{\"bytes\": %zu, \"median_us\": %.1f, \"best_us\": %.1f}\n", bytes,
         times[kPasses / 2] * 1e6, times[0] * 1e6);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "pingpong") == 0) return pingPong();
  if (argc == 4 && strcmp(argv[1], "memory") == 0) {
    const int ranks = atoi(argv[2]);
    const size_t bytes = strtoull(argv[3], NULL, 10);
    if (ranks >= 1 && ranks <= kMaxStreams && bytes > 0) return memoryBandwidth(ranks, bytes);
  }
  if (argc == 3 && strcmp(argv[1], "staged") == 0) {
    const size_t bytes = strtoull(argv[2], NULL, 10);
    if (bytes >= kSlotBytes) return stagedAllReduce(bytes);
  }
  fprintf(stderr,
          "usage: limits pingpong | limits memory RANKS(1-%d) BYTES | limits staged BYTES\n",
          kMaxStreams);
  return 2;
}
