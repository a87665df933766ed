/* Tutti: the loop of bench_loop.h over the C API, in local processes that this program forks; with
 * "launched" for the number of ranks, as the one rank that TUTTI_RANK, TUTTI_SIZE and TUTTI_ADDR
 * say. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include "bench_loop.h"

enum { kMaxRanks = 64 };

static tuttiComm_t comm = NULL;
static void* handles[2];
static int handleCount = 0;

static void check(tuttiResult_t result, const char* what) {
  if (result == tuttiSuccess) return;
  fprintf(stderr, "tutti_bench: %s: %s: %s\n", what, tuttiGetErrorString(result),
          tuttiGetLastError(comm));
  exit(5);
}

static void run(BenchCollective collective, float* send, float* recv, size_t count) {
  tuttiResult_t result = tuttiSuccess;
  switch (collective) {
    case kAllReduce:
      result = tuttiAllReduce(send, recv, count, tuttiFloat, tuttiSum, comm, NULL);
      break;
    case kBroadcast: result = tuttiBcast(recv, count, tuttiFloat, 0, comm, NULL); break;
    case kAllGather: result = tuttiAllGather(send, recv, count, tuttiFloat, comm, NULL); break;
    case kReduceScatter:
      result = tuttiReduceScatter(send, recv, count, tuttiFloat, tuttiSum, comm, NULL);
      break;
    case kAllToAll: result = tuttiAllToAll(send, recv, count, tuttiFloat, comm, NULL); break;
    default: break;
  }
  if (result != tuttiSuccess) check(result, kCollectiveNames[collective]);
}

static double maxOverRanks(double value) {
  double largest = 0;
  check(tuttiAllReduce(&value, &largest, 1, tuttiDouble, tuttiMax, comm, NULL), "barrier");
  return largest;
}

static void* allocateRegistered(size_t bytes) {
  void* pointer = NULL;
  check(tuttiMemAlloc(&pointer, bytes), "tuttiMemAlloc");
  check(tuttiCommRegister(comm, pointer, bytes, &handles[handleCount]), "tuttiCommRegister");
  ++handleCount;
  return pointer;
}

static void releaseRegistered(void* pointer) {
  for (; handleCount > 0; --handleCount) {
    check(tuttiCommDeregister(comm, handles[handleCount - 1]), "tuttiCommDeregister");
  }
  check(tuttiMemFree(pointer), "tuttiMemFree");
}

/* Forks ranks 1 .. size-1, before any library call that starts a thread. The id comes through one
 * pipe for each. Returns this process's rank. */
static int forkRanks(int size, int pipes[][2]) {
  for (int rank = 1; rank < size; ++rank) {
    if (pipe(pipes[rank]) != 0) return -1;
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(5);
      return rank;
    }
  }
  return 0;
}

static void shareId(tuttiUniqueId* id, int rank, int size, int pipes[][2]) {
  if (rank > 0) {
    if (read(pipes[rank][0], id, sizeof(*id)) != (ssize_t)sizeof(*id)) exit(5);
    return;
  }
  check(tuttiGetUniqueId(id), "tuttiGetUniqueId");
  for (int peer = 1; peer < size; ++peer) {
    if (write(pipes[peer][1], id, sizeof(*id)) != (ssize_t)sizeof(*id)) exit(5);
  }
}

static void pinTo(int rank) {
  cpu_set_t allowed;
  cpu_set_t one;
  sched_getaffinity(0, sizeof(allowed), &allowed);
  int skip = rank % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

static int waitForRanks(int code) {
  int status = 0;
  while (wait(&status) > 0) {
    if (!WIFEXITED(status))
      code = 5;
    else if (WEXITSTATUS(status) > code)
      code = WEXITSTATUS(status);
  }
  return code;
}

static int number(const char* name) {
  const char* text = getenv(name);
  return text != NULL ? atoi(text) : -1;
}

int main(int argc, char** argv) {
  int pipes[kMaxRanks][2];
  tuttiUniqueId id;
  BenchArgs args;
  const int isLaunched = argc > 1 && strcmp(argv[1], "launched") == 0;
  const int size = isLaunched ? number("TUTTI_SIZE") : argc > 1 ? atoi(argv[1]) : 0;
  if (argc != 8 || size < 1 || size > kMaxRanks || !benchParse(argc - 4, argv + 4, &args)) {
    fprintf(stderr,
            "usage: %s RANKS|launched plain|registered pin|free COLLECTIVE SIZES SECONDS BATCHES\n",
            argv[0]);
    return 2;
  }
  const int isRegistered = strcmp(argv[2], "registered") == 0;
  const int rank = isLaunched ? number("TUTTI_RANK") : forkRanks(size, pipes);
  if (rank < 0) return 5;
  if (strcmp(argv[3], "pin") == 0) pinTo(rank);
  if (isLaunched) {
    check(tuttiGetUniqueId(&id), "tuttiGetUniqueId");
  } else {
    shareId(&id, rank, size, pipes);
  }
  check(tuttiCommInitRank(&comm, size, id, rank), "tuttiCommInitRank");
  const BenchLibrary library = {rank,
                                size,
                                run,
                                maxOverRanks,
                                isRegistered ? allocateRegistered : malloc,
                                isRegistered ? releaseRegistered : free};
  const int code = benchMain(&library, &args);
  check(tuttiCommDestroy(comm), "tuttiCommDestroy");
  return rank == 0 && !isLaunched ? waitForRanks(code) : code;
}
