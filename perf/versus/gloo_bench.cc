// Gloo: the loop of bench_loop.h over its TCP transport, one process for each rank.
//
//   gloo_bench ring|ring-chunked|halving-doubling FOLDER COLLECTIVE SIZES SECONDS BATCHES
//
// The algorithm is that of all-reduce. Rank and number of ranks: TUTTI_RANK, TUTTI_SIZE. FOLDER is
// empty, seen by all ranks, and where they find each other; the host name's address is used.
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench_loop.h"

namespace {

// The C loop calls plain functions, so what they need stands here.
std::shared_ptr<gloo::rendezvous::Context> context;
std::string algorithmName;

using Reduce = void (*)(void*, const void*, const void*, size_t);

// The two that are objects of one buffer and count, and work in place.
void allReduceInPlace(float* data, size_t count) {
  static std::unique_ptr<gloo::Algorithm> algorithm;
  static float* lastData = nullptr;
  static size_t lastCount = 0;
  if (!algorithm || data != lastData || count != lastCount) {
    const std::vector<float*> pointers{data};
    const int elements = static_cast<int>(count);
    if (algorithmName == "ring-chunked") {
      algorithm = std::make_unique<gloo::AllreduceRingChunked<float>>(context, pointers, elements);
    } else {
      algorithm =
          std::make_unique<gloo::AllreduceHalvingDoubling<float>>(context, pointers, elements);
    }
    lastData = data;
    lastCount = count;
  }
  algorithm->run();
}

// gloo::AllreduceRing passes whole vectors around, which is slower everywhere: not this one.
void allReduceRing(float* send, float* recv, size_t count) {
  gloo::AllreduceOptions options(context);
  options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
  options.setInput(send, count);
  options.setOutput(recv, count);
  options.setReduceFunction(static_cast<Reduce>(&gloo::sum<float>));
  gloo::allreduce(options);
}

void run(BenchCollective collective, float* send, float* recv, size_t count) {
  if (collective == kAllReduce && algorithmName == "ring") {
    allReduceRing(send, recv, count);
  } else if (collective == kAllReduce) {
    memcpy(recv, send, count * sizeof(float));
    allReduceInPlace(recv, count);
  } else if (collective == kAllGather) {
    gloo::AllgatherOptions options(context);
    options.setInput(send, count);
    options.setOutput(recv, count * static_cast<size_t>(context->size));
    gloo::allgather(options);
  } else if (collective == kBroadcast) {
    gloo::BroadcastOptions options(context);
    options.setOutput(recv, count);
    options.setRoot(0);
    gloo::broadcast(options);
  }
}

double maxOverRanks(double value) {
  gloo::AllreduceOptions options(context);
  options.setOutput(&value, 1);
  options.setReduceFunction(static_cast<Reduce>(&gloo::max<double>));
  options.setTag(1);
  gloo::allreduce(options);
  return value;
}

int number(const char* name) {
  const char* text = getenv(name);
  return text != nullptr ? atoi(text) : -1;
}

}  // namespace

int main(int argc, char** argv) {
  BenchArgs args;
  const int rank = number("TUTTI_RANK");
  const int size = number("TUTTI_SIZE");
  const std::string names[] = {"ring", "ring-chunked", "halving-doubling"};
  if (argc == 7) algorithmName = argv[1];
  if (rank < 0 || size < 1 || !benchParse(argc - 3, argv + 3, &args) ||
      std::find(std::begin(names), std::end(names), algorithmName) == std::end(names) ||
      args.collective > kAllGather) {
    fprintf(stderr, "usage: %s ALGORITHM FOLDER COLLECTIVE SIZES SECONDS BATCHES\n", argv[0]);
    return 2;
  }
  try {
    gloo::rendezvous::FileStore store(argv[2]);
    context = std::make_shared<gloo::rendezvous::Context>(rank, size);
    context->setTimeout(std::chrono::minutes(2));
    auto device = gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr());
    context->connectFullMesh(store, device);
    const BenchLibrary library = {rank, size, run, maxOverRanks, malloc, free};
    return benchMain(&library, &args);
  } catch (const std::exception& error) {
    fprintf(stderr, "gloo_bench: rank %d: %s\n", rank, error.what());
    return 5;
  }
}
