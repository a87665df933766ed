// Latency through the C API: a send and a receive there and back, and all-reduces, between two
// processes and between threads; and the queue of a host stream.
#include <benchmark/benchmark.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tutti/tutti.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr size_t kLargest = 65536;

void check(tuttiResult_t result, const char* what, tuttiComm_t comm = nullptr) {
  if (result == tuttiSuccess) return;
  std::fprintf(stderr, "latency_bench: %s: %s\n", what, tuttiGetLastError(comm));
  std::_Exit(1);
}

// What rank 0 tells the peer process to take part in; a count of 0 ends it.
struct Order {
  uint64_t bytes;
  uint64_t isAllReduce;
};

// The communicator with the other process; rank 0 is this one.
tuttiComm_t pairComm = nullptr;

// A first element other than 0 is the last message of a series.
void answer(const Order& order, std::vector<float>& send, std::vector<float>& recv) {
  const size_t count = order.bytes / sizeof(float);
  for (recv[0] = 0; recv[0] == 0;) {
    if (order.isAllReduce != 0) {
      check(
          tuttiAllReduce(send.data(), recv.data(), count, tuttiFloat, tuttiSum, pairComm, nullptr),
          "tuttiAllReduce", pairComm);
    } else {
      check(tuttiRecv(recv.data(), count, tuttiFloat, 0, pairComm, nullptr), "tuttiRecv", pairComm);
      check(tuttiSend(recv.data(), count, tuttiFloat, 0, pairComm, nullptr), "tuttiSend", pairComm);
    }
  }
}

void runPeer() {
  std::vector<float> send(kLargest / sizeof(float), 0);
  std::vector<float> recv(send);
  for (;;) {
    Order order{};
    check(tuttiRecv(&order, sizeof(order), tuttiUint8, 0, pairComm, nullptr), "tuttiRecv",
          pairComm);
    if (order.bytes == 0) return;
    answer(order, send, recv);
  }
}

void giveOrder(const Order& order) {
  check(tuttiSend(&order, sizeof(order), tuttiUint8, 1, pairComm, nullptr), "tuttiSend", pairComm);
}

void sendRecvProcesses(benchmark::State& state) {
  std::vector<float> data(kLargest / sizeof(float), 0);
  const size_t count = static_cast<size_t>(state.range(0)) / sizeof(float);
  const auto trip = [&] {
    check(tuttiSend(data.data(), count, tuttiFloat, 1, pairComm, nullptr), "tuttiSend", pairComm);
    check(tuttiRecv(data.data(), count, tuttiFloat, 1, pairComm, nullptr), "tuttiRecv", pairComm);
  };
  giveOrder({static_cast<uint64_t>(state.range(0)), 0});
  for (auto _ : state) trip();
  data[0] = 1;
  trip();
}
BENCHMARK(sendRecvProcesses)->Arg(8)->Arg(1024)->Arg(16384)->Arg(65536)->UseRealTime();

void allReduceProcesses(benchmark::State& state) {
  std::vector<float> send(kLargest / sizeof(float), 0);
  std::vector<float> recv(send);
  const size_t count = static_cast<size_t>(state.range(0)) / sizeof(float);
  const auto once = [&] {
    check(tuttiAllReduce(send.data(), recv.data(), count, tuttiFloat, tuttiSum, pairComm, nullptr),
          "tuttiAllReduce", pairComm);
  };
  giveOrder({static_cast<uint64_t>(state.range(0)), 1});
  for (auto _ : state) once();
  send[0] = 1;
  once();
}
BENCHMARK(allReduceProcesses)->Arg(8)->Arg(1024)->Arg(16384)->Arg(65536)->UseRealTime();

// Arguments: ranks, bytes. The measured rank is 0; the others follow it until its stop.
void allReduceThreads(benchmark::State& state) {
  const auto ranks = static_cast<int>(state.range(0));
  const size_t count = static_cast<size_t>(state.range(1)) / sizeof(float);
  std::vector<tuttiComm_t> comms(static_cast<size_t>(ranks));
  check(tuttiCommInitAll(comms.data(), ranks, nullptr), "tuttiCommInitAll");
  const auto reduce = [&](const std::vector<float>& send, std::vector<float>& recv, tuttiComm_t c) {
    check(tuttiAllReduce(send.data(), recv.data(), count, tuttiFloat, tuttiSum, c, nullptr),
          "tuttiAllReduce", c);
  };
  std::vector<std::thread> peers;
  for (int rank = 1; rank < ranks; ++rank) {
    peers.emplace_back([&, comm = comms[static_cast<size_t>(rank)]] {
      const std::vector<float> send(count, 0);
      std::vector<float> recv(count, 0);
      while (recv[0] == 0) reduce(send, recv, comm);
    });
  }
  std::vector<float> send(count, 0);
  std::vector<float> recv(count, 0);
  for (auto _ : state) reduce(send, recv, comms[0]);
  send[0] = 1;
  reduce(send, recv, comms[0]);
  for (std::thread& peer : peers) peer.join();
  check(tuttiGroupStart(), "tuttiGroupStart");
  for (const tuttiComm_t comm : comms) check(tuttiCommDestroy(comm), "tuttiCommDestroy");
  check(tuttiGroupEnd(), "tuttiGroupEnd");
}
BENCHMARK(allReduceThreads)->ArgsProduct({{1, 2, 4, 8}, {8, 1024, 65536}})->UseRealTime();

// From the call to the end of an operation of one rank on a stream: the cost of the queue itself.
void streamQueue(benchmark::State& state) {
  tuttiComm_t comm = nullptr;
  tuttiStream_t stream = nullptr;
  float value = 1;
  float result = 0;
  check(tuttiCommInitAll(&comm, 1, nullptr), "tuttiCommInitAll");
  check(tuttiStreamCreate(comm, &stream), "tuttiStreamCreate", comm);
  for (auto _ : state) {
    for (int i = 0; i < state.range(0); ++i) {
      check(tuttiAllReduce(&value, &result, 1, tuttiFloat, tuttiSum, comm, stream),
            "tuttiAllReduce", comm);
    }
    check(tuttiStreamSynchronize(comm, stream), "tuttiStreamSynchronize", comm);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  check(tuttiStreamDestroy(comm, stream), "tuttiStreamDestroy", comm);
  check(tuttiCommDestroy(comm), "tuttiCommDestroy");
}
BENCHMARK(streamQueue)->Arg(1)->Arg(16)->UseRealTime();

// The peer process is forked before the library's first call; the id comes through a pipe.
int runPair(int argc, char** argv) {
  int ends[2];
  tuttiUniqueId id{};
  if (pipe(ends) != 0) return 1;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || read(ends[0], &id, sizeof(id)) != sizeof(id)) _exit(1);
    check(tuttiCommInitRank(&pairComm, 2, id, 1), "tuttiCommInitRank");
    runPeer();
    check(tuttiCommDestroy(pairComm), "tuttiCommDestroy");
    _exit(0);
  }
  check(tuttiGetUniqueId(&id), "tuttiGetUniqueId");
  if (write(ends[1], &id, sizeof(id)) != sizeof(id)) return 1;
  check(tuttiCommInitRank(&pairComm, 2, id, 0), "tuttiCommInitRank");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  giveOrder({0, 0});
  check(tuttiCommDestroy(pairComm), "tuttiCommDestroy");
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  setenv("TUTTI_IGNORE_LAUNCHER", "1", 1);
  return runPair(argc, argv);
}
