// Engines of one process on inproc segments, without a bootstrap: what src/comm does, as far as the
// executor is concerned.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/device/registry.h"
#include "src/executor/engine.h"
#include "src/ir/world.h"
#include "src/plan/plan.h"
#include "src/schedule/lower.h"
#include "transports/registry.h"
#include "transports/segment.h"

namespace tutti::executor::test {

using std::chrono::milliseconds;

// A float that differs for neighbouring elements and ranks; sums of some are exact.
inline float valueOf(int rank, uint64_t element) {
  return static_cast<float>((element * 31 + static_cast<uint64_t>(rank) * 17) % 61);
}

inline float sumOf(int size, uint64_t element) {
  float sum = 0;
  for (int rank = 0; rank < size; ++rank) sum += valueOf(rank, element);
  return sum;
}

struct RanksOptions {
  bool isOneProcess = true;  // false: as if peers could only map shareable memory
  bool canCopyPeers = false;
  milliseconds timeout{20000};
  const transports::Backend* backend = nullptr;  // inproc
};

class Ranks {
 public:
  using Options = RanksOptions;

  explicit Ranks(int size, const Options& options = {}) : size_(size), options_(options) {
    auto device = device::openDevice("host", device::builtinBackends());
    EXPECT_TRUE(device.isOk()) << device.status().toString();
    device_ = device.take();
    makeWorld();
    const std::byte token[32] = {};
    for (int rank = 0; rank < size; ++rank) {
      segments_.push_back(transports::OwnSegment::create(rank, size, token).take());
      transports::ContextOptions context;
      context.rank = rank;
      context.segment = segments_.back()->view();
      const auto& backend = options.backend == nullptr ? inproc() : *options.backend;
      contexts_.push_back(backend.open(context).take());
    }
    connections_.resize(static_cast<size_t>(size));
    for (int rank = 0; rank < size; ++rank) connect(rank);
    for (int rank = 0; rank < size; ++rank) engines_.push_back(makeEngine(rank));
  }

  int size() const { return size_; }
  Engine& engine(int rank) { return *engines_[static_cast<size_t>(rank)]; }
  device::Device& device() { return *device_; }
  ir::World& world() { return world_; }
  transports::SegmentView segment(int rank) { return segments_[static_cast<size_t>(rank)]->view(); }

  // What `rank` runs for a call. An empty algorithm leaves the choice to the model.
  std::shared_ptr<const Programs> programs(const ir::Call& call, int rank,
                                           const std::string& algorithm = "",
                                           const BlockTable& table = {}, uint64_t chunk = 0) {
    plan::Options options;
    options.algorithm = algorithm;
    options.chunkBytes = chunk;
    auto plan = plan::plan(world_, call, options);
    EXPECT_TRUE(plan.isOk()) << plan.status().toString();
    return programs(*plan, call, rank, table);
  }
  std::shared_ptr<const Programs> programs(const ir::Plan& plan, const ir::Call& call, int rank,
                                           const BlockTable& table = {}) {
    auto made = std::make_shared<Programs>();
    made->main = compiled(schedule::lower(plan, size_, rank), call, table);
    if (made->main.needsPeerMemory) {
      made->fallback = std::make_unique<Program>(
          compiled(schedule::lowerFallback(plan, size_, rank), call, table));
    }
    return made;
  }

  std::shared_ptr<const Programs> programs(const ir::Schedule& schedule, const ir::Call& call) {
    auto made = std::make_shared<Programs>();
    made->main = compiled(schedule, call, {});
    return made;
  }

  // Runs body(rank) for every rank in a thread of its own.
  void run(const std::function<void(int)>& body) {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) threads.emplace_back([&, rank] { body(rank); });
    for (auto& thread : threads) thread.join();
  }

  base::Status call(int rank, const ir::Call& call, const void* input, void* output,
                    const std::string& algorithm = "") {
    return run(rank, programs(call, rank, algorithm), input, output);
  }
  base::Status run(int rank, std::shared_ptr<const Programs> programs, const void* input,
                   void* output) {
    Request request;
    request.programs = std::move(programs);
    request.input = input;
    request.output = output;
    return engine(rank).wait(engine(rank).start(std::move(request)));
  }

 private:
  static const transports::Backend& inproc() {
    for (const auto* backend : transports::builtinBackends()) {
      if (backend->name() == "inproc") return *backend;
    }
    ADD_FAILURE() << "no inproc transport in this build";
    std::abort();
  }

  void makeWorld() {
    for (int rank = 0; rank < size_; ++rank) {
      ir::RankInfo info;
      info.host = info.hostName = "here";
      info.pid = 100 + rank;
      info.device = "host";
      info.cores = size_;
      world_.ranks.push_back(info);
    }
    const auto reach = options_.isOneProcess ? ir::Reach::kAddress : ir::Reach::kMapped;
    world_.reach.assign(static_cast<size_t>(size_ * size_), reach);
    for (int rank = 0; rank < size_; ++rank) {
      world_.reach[static_cast<size_t>(rank * size_ + rank)] = ir::Reach::kAddress;
    }
    world_.canCopyPeer = options_.canCopyPeers;
  }

  void connect(int rank) {
    auto& mine = connections_[static_cast<size_t>(rank)];
    mine.resize(static_cast<size_t>(size_));
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank) continue;
      auto connection = contexts_[static_cast<size_t>(rank)]->connect(
          peer, contexts_[static_cast<size_t>(peer)]->address());
      ASSERT_TRUE(connection.isOk()) << connection.status().toString();
      mine[static_cast<size_t>(peer)] = connection.take();
    }
  }

  std::unique_ptr<Engine> makeEngine(int rank) {
    EngineOptions options;
    options.rank = rank;
    options.size = size_;
    options.segment = segment(rank);
    for (const auto& each : connections_[static_cast<size_t>(rank)]) {
      options.connections.push_back(each.get());
    }
    options.device = device_.get();
    options.isOneProcess = options_.isOneProcess;
    options.canCopyPeers = options_.canCopyPeers;
    options.timeout = options_.timeout;
    options.wait.spinNs = 0;  // tests run beside others
    return std::make_unique<Engine>(std::move(options));
  }

  Program compiled(base::Result<ir::Schedule> schedule, const ir::Call& call,
                   const BlockTable& table) {
    EXPECT_TRUE(schedule.isOk()) << schedule.status().toString();
    auto program = compile(*schedule, call, table, 4 << 20);
    EXPECT_TRUE(program.isOk()) << program.status().toString();
    return program.take();
  }

  int size_;
  Options options_;
  ir::World world_;
  std::shared_ptr<device::Device> device_;
  std::vector<std::unique_ptr<transports::OwnSegment>> segments_;
  std::vector<std::unique_ptr<transports::Context>> contexts_;
  std::vector<std::vector<std::unique_ptr<transports::Connection>>> connections_;  // [rank][peer]
  std::vector<std::unique_ptr<Engine>> engines_;
};

}  // namespace tutti::executor::test
