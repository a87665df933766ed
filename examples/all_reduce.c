/* All-reduce in C99, with nothing but Tutti and the C library.
 *
 * Alone, it is both ranks of a communicator, driven by one thread with the help of a group:
 *
 *   ./example_all_reduce
 *
 * Under a launcher, or with torchrun's variables set by hand, each process is one rank:
 *
 *   for r in 0 1 2; do
 *     RANK=$r WORLD_SIZE=3 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 ./example_all_reduce &
 *   done; wait
 *   mpirun -n 3 ./example_all_reduce
 */
#include <stdio.h>
#include <stdlib.h>
#include <tutti/tutti.h>

enum { kCount = 1000, kLocalRanks = 2 };

/* Ends the program with the library's own words, which say what to do. */
static void check(tuttiResult_t result, tuttiComm_t comm) {
  if (result == tuttiSuccess) return;
  fprintf(stderr, "%s: %s\n", tuttiGetErrorString(result), tuttiGetLastError(comm));
  exit(1);
}

/* Every element of rank r's contribution is r + 1. */
static void fill(float* values, int rank) {
  for (int i = 0; i < kCount; ++i) values[i] = (float)(rank + 1);
}

/* So the sum over n ranks is n (n + 1) / 2. */
static void verify(const float* values, int rank, int size) {
  const float expected = (float)(size * (size + 1) / 2);
  for (int i = 0; i < kCount; ++i) {
    if (values[i] == expected) continue;
    fprintf(stderr, "rank %d: element %d is %g, not %g\n", rank, i, values[i], expected);
    exit(1);
  }
  printf("rank %d of %d: the sum is %g\n", rank, size, expected);
}

/* One process, one rank: the launcher says which. */
static void runOneRank(const tuttiLauncherInfo_t* launcher) {
  tuttiUniqueId id;
  tuttiComm_t comm = NULL;
  float values[kCount];
  check(tuttiGetLauncherUniqueId(&id, NULL), NULL);
  check(tuttiCommInitRank(&comm, launcher->size, id, launcher->rank), NULL);
  fill(values, launcher->rank);
  check(tuttiAllReduce(values, values, kCount, tuttiFloat, tuttiSum, comm, NULL), comm);
  verify(values, launcher->rank, launcher->size);
  check(tuttiCommDestroy(comm), NULL);
}

/* One process, all ranks. In a group, calls for several ranks come from one thread. */
static void runAllRanks(void) {
  tuttiComm_t comms[kLocalRanks];
  static float values[kLocalRanks][kCount];
  check(tuttiCommInitAll(comms, kLocalRanks, NULL), NULL);
  check(tuttiGroupStart(), NULL);
  for (int rank = 0; rank < kLocalRanks; ++rank) {
    fill(values[rank], rank);
    check(
        tuttiAllReduce(values[rank], values[rank], kCount, tuttiFloat, tuttiSum, comms[rank], NULL),
        comms[rank]);
  }
  check(tuttiGroupEnd(), NULL);
  for (int rank = 0; rank < kLocalRanks; ++rank) {
    verify(values[rank], rank, kLocalRanks);
    check(tuttiCommDestroy(comms[rank]), NULL);
  }
}

int main(void) {
  tuttiLauncherInfo_t launcher;
  check(tuttiGetLauncherInfo(&launcher), NULL);
  if (launcher.size > 0) {
    runOneRank(&launcher);
  } else {
    runAllRanks();
  }
  return 0;
}
