/* The peers: the loop of bench_loop.h over MPI. Built once with each MPI's own mpicc. */
#include <mpi.h>

#include "bench_loop.h"

static void run(BenchCollective collective, float* send, float* recv, size_t count) {
  const int n = (int)count;
  switch (collective) {
    case kAllReduce: MPI_Allreduce(send, recv, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); break;
    case kBroadcast: MPI_Bcast(recv, n, MPI_FLOAT, 0, MPI_COMM_WORLD); break;
    case kAllGather: MPI_Allgather(send, n, MPI_FLOAT, recv, n, MPI_FLOAT, MPI_COMM_WORLD); break;
    case kReduceScatter:
      MPI_Reduce_scatter_block(send, recv, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      break;
    case kAllToAll: MPI_Alltoall(send, n, MPI_FLOAT, recv, n, MPI_FLOAT, MPI_COMM_WORLD); break;
    default: break;
  }
}

static double maxOverRanks(double value) {
  double largest = 0;
  MPI_Allreduce(&value, &largest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return largest;
}

int main(int argc, char** argv) {
  BenchArgs args;
  BenchLibrary library = {0, 0, run, maxOverRanks, malloc, free};
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &library.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &library.size);
  if (!benchParse(argc - 1, argv + 1, &args)) {
    if (library.rank == 0) fprintf(stderr, "usage: %s COLLECTIVE SIZES SECONDS BATCHES\n", argv[0]);
    MPI_Finalize();
    return 2;
  }
  const int code = benchMain(&library, &args);
  MPI_Finalize();
  return code;
}
