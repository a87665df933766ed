/* The one measuring loop of perf/versus: every library is timed by exactly this code, each through
 * a BenchLibrary. C11, no dependencies.
 *
 * Bytes: the full vector for all-reduce, broadcast and the input of reduce-scatter; the total
 * received for all-gather and all-to-all (at least one element for each rank). fp32, sum, root 0,
 * out of place. A batch is a number of calls between two clock readings; its time is that of the
 * slowest rank, divided by the number of calls. CPU time is of all ranks together, for each call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef enum {
  kAllReduce,
  kBroadcast,
  kAllGather,
  kReduceScatter,
  kAllToAll,
  kCollectives
} BenchCollective;

static const char* const kCollectiveNames[kCollectives] = {"allreduce", "bcast", "allgather",
                                                           "reduce_scatter", "alltoall"};

typedef struct {
  int rank;
  int size;
  /* Runs one collective and returns when this rank's part is done. `count`: elements of the vector
   * for all-reduce and broadcast, elements for each rank otherwise. */
  void (*run)(BenchCollective collective, float* send, float* recv, size_t count);
  /* The largest value over ranks, on every rank; also serves as a barrier. */
  double (*maxOverRanks)(double value);
  void* (*allocate)(size_t bytes);
  void (*release)(void* pointer);
} BenchLibrary;

typedef struct {
  BenchCollective collective;
  size_t sizes[64];
  int sizeCount;
  double batchSeconds; /* aimed length of a batch */
  int batches;
} BenchArgs;

static double benchSeconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What this process has used, in user and kernel mode, all threads together. */
static double benchCpuSeconds(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static double benchSumOverRanks(const BenchLibrary* library, double value) {
  double sum = 0;
  for (int r = 0; r < library->size; ++r) {
    sum += library->maxOverRanks(r == library->rank ? value : 0);
  }
  return sum;
}

/* argv: collective, sizes in bytes separated by commas, seconds for a batch, batches. */
static int benchParse(int argc, char** argv, BenchArgs* args) {
  if (argc != 4) return 0;
  memset(args, 0, sizeof(*args));
  args->collective = kCollectives;
  for (int i = 0; i < kCollectives; ++i) {
    if (strcmp(argv[0], kCollectiveNames[i]) == 0) args->collective = (BenchCollective)i;
  }
  for (char* at = argv[1]; *at != '\0' && args->sizeCount < 64;) {
    args->sizes[args->sizeCount++] = strtoull(at, &at, 10);
    if (*at == ',') ++at;
  }
  args->batchSeconds = atof(argv[2]);
  args->batches = atoi(argv[3]);
  return args->collective != kCollectives && args->sizeCount > 0 && args->batches > 0;
}

/* Elements that BenchLibrary::run gets for `bytes`. */
static size_t benchCount(BenchCollective collective, size_t bytes, int ranks) {
  size_t elements = bytes / sizeof(float);
  if (collective == kAllGather || collective == kReduceScatter || collective == kAllToAll) {
    elements /= (size_t)ranks;
  }
  return elements > 0 ? elements : 1;
}

static float benchValue(int rank, size_t index) {
  return (float)((index + 31 * (size_t)rank) % 1021);
}

static float benchExpected(const BenchLibrary* library, BenchCollective collective, size_t count,
                           size_t index) {
  float sum = 0;
  size_t mine = (size_t)library->rank * count;
  switch (collective) {
    case kBroadcast: return benchValue(0, index);
    case kAllGather: return benchValue((int)(index / count), index % count);
    case kAllToAll: return benchValue((int)(index / count), mine + index % count);
    case kReduceScatter: index += mine; break;
    default: break;
  }
  for (int r = 0; r < library->size; ++r) sum += benchValue(r, index);
  return sum;
}

/* Runs once on known data and looks at the result: all of it up to a million elements, every 61st
 * element beyond. Returns the number of wrong elements seen. */
static size_t benchCheck(const BenchLibrary* library, BenchCollective collective, float* send,
                         float* recv, size_t count, size_t sendCount, size_t recvCount) {
  size_t wrong = 0;
  for (size_t i = 0; i < sendCount; ++i) send[i] = benchValue(library->rank, i);
  if (collective == kBroadcast && library->rank == 0) {
    for (size_t i = 0; i < recvCount; ++i) recv[i] = benchValue(0, i);
  } else {
    memset(recv, 0xa5, recvCount * sizeof(float));
  }
  library->maxOverRanks(0);
  library->run(collective, send, recv, count);
  for (size_t i = 0; i<recvCount; i += recvCount> 1000000 ? 61 : 1) {
    if (recv[i] != benchExpected(library, collective, count, i)) ++wrong;
  }
  return wrong;
}

static double benchBatch(const BenchLibrary* library, BenchCollective collective, float* send,
                         float* recv, size_t count, long calls) {
  library->maxOverRanks(0);
  const double start = benchSeconds();
  for (long i = 0; i < calls; ++i) library->run(collective, send, recv, count);
  return library->maxOverRanks(benchSeconds() - start) / (double)calls;
}

/* Doubles the number of calls until a batch is long enough to predict from: also the warm-up. The
 * better of two batches decides, so that one disturbance does not, unless a single call takes long.
 */
static long benchCalibrate(const BenchLibrary* library, const BenchArgs* args, float* send,
                           float* recv, size_t count) {
  long calls = 1;
  double each = 0;
  for (;;) {
    each = benchBatch(library, args->collective, send, recv, count, calls);
    if (each > args->batchSeconds * 10) return 1;
    if (each * (double)calls > args->batchSeconds / 2) {
      const double again = benchBatch(library, args->collective, send, recv, count, calls);
      if (again < each) each = again;
    }
    if (each * (double)calls > args->batchSeconds / 2 || calls > 1000000) break;
    calls *= 2;
  }
  calls = (long)(args->batchSeconds / each);
  return calls > 1 ? calls : 1;
}

/* One line of JSON on rank 0's stdout. Returns the number of wrong elements on this rank. */
static size_t benchSize(const BenchLibrary* library, const BenchArgs* args, float* send,
                        float* recv, size_t bytes) {
  const size_t count = benchCount(args->collective, bytes, library->size);
  const size_t all = count * (size_t)library->size;
  const int takesAll = args->collective == kReduceScatter || args->collective == kAllToAll;
  const int givesAll = args->collective == kAllGather || args->collective == kAllToAll;
  const size_t wrong = benchCheck(library, args->collective, send, recv, count,
                                  takesAll ? all : count, givesAll ? all : count);
  const double wrongMax = library->maxOverRanks((double)wrong);
  const long calls = benchCalibrate(library, args, send, recv, count);
  if (library->rank == 0) {
    printf("{\"size\": %zu, \"calls\": %ld, \"wrong\": %.0f, \"us\": [", bytes, calls, wrongMax);
  }
  const double before = benchCpuSeconds();
  for (int batch = 0; batch < args->batches; ++batch) {
    const double each = benchBatch(library, args->collective, send, recv, count, calls);
    if (library->rank == 0) printf("%s%.4f", batch > 0 ? ", " : "", each * 1e6);
  }
  const double cpu = benchSumOverRanks(library, benchCpuSeconds() - before);
  if (library->rank == 0) {
    printf("], \"cpu_us\": %.1f}\n", cpu * 1e6 / ((double)calls * args->batches));
    fflush(stdout);
  }
  return wrong;
}

/* The exit code: 0, or 1 where data were wrong. */
static int benchMain(const BenchLibrary* library, const BenchArgs* args) {
  size_t largest = 0;
  size_t wrong = 0;
  for (int i = 0; i < args->sizeCount; ++i) {
    if (args->sizes[i] > largest) largest = args->sizes[i];
  }
  largest += sizeof(float) * (size_t)library->size;
  float* send = (float*)library->allocate(largest);
  float* recv = (float*)library->allocate(largest);
  if (send == NULL || recv == NULL) {
    fprintf(stderr, "out of memory\n");
    return 1;
  }
  memset(send, 0, largest);
  memset(recv, 0, largest);
  for (int i = 0; i < args->sizeCount; ++i)
    wrong += benchSize(library, args, send, recv, args->sizes[i]);
  library->release(send);
  library->release(recv);
  return wrong > 0 ? 1 : 0;
}
