// One rank's communicator: the composition root. It joins the control plane, exchanges the World,
// connects the transports and owns everything that a collective needs.
//
// Threads: as include/tutti/tutti.h says; abort, asyncStatus and describe may be called by any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/base/status.h"
#include "src/bootstrap/control_plane.h"
#include "src/comm/algorithms.h"
#include "src/comm/fabric.h"
#include "src/comm/measurements.h"
#include "src/comm/paths.h"
#include "src/comm/plan_cache.h"
#include "src/comm/red_ops.h"
#include "src/comm/replanner.h"
#include "src/device/device.h"
#include "src/executor/engine.h"
#include "src/ir/call.h"
#include "src/ir/world.h"
#include "transports/segment.h"
#include "transports/transport.h"

namespace tutti::comm {

// What the caller and the environment decided.
struct CommConfig {
  bool isBlocking = true;
  std::chrono::milliseconds timeout{30000};
  std::string device;  // empty: the process's default
  std::string name;
};

struct InitArgs {
  std::vector<bootstrap::UniqueId> ids;
  int rank = 0;
  int size = 1;
  CommConfig config;
};

// One collective, send or receive as the API got it. Buffers belong to the caller.
struct Work {
  ir::Call call;
  const void* input = nullptr;
  void* output = nullptr;
  void* stream = nullptr;
  device::Factor factor;
  const void* scalar = nullptr;  // with a stream: where the factor's bits are once its turn comes
  executor::BlockTable table;    // V forms that all ranks know
  bool isPart = false;           // a message of the collective that was given to the engine last
};

// What later work of a stream is to wait for.
struct StreamHold {
  device::StreamOrder* order;
  void* stream;
  std::shared_ptr<std::atomic<uint32_t>> release;
};

class Communicator {
 public:
  // Blocks until all ranks have joined. `isAborted` is looked at while it waits.
  static base::Result<std::unique_ptr<Communicator>> create(const InitArgs& args,
                                                            const std::atomic<bool>* isAborted);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  ir::Rank rank() const { return rank_; }
  int size() const { return world_.size(); }
  const CommConfig& config() const { return config_; }
  const ir::World& world() const { return world_; }
  device::Device& device() { return *device_; }
  std::shared_ptr<device::Device> sharedDevice() { return device_; }
  executor::Engine& engine() { return *engine_; }
  RedOps& redOps() { return redOps_; }
  bootstrap::ControlPlane& control() { return *control_; }

  // Queues `work` on the engine; the caller waits for the result. Null: it is asynchronous (it has
  // a stream, or the communicator does not block) and the progress thread drives it. The calls of a
  // group run together, so none of them may wait for another's hold of their stream: with `holds`
  // it is the caller who takes the holds, once all were started.
  base::Result<executor::Operation*> start(Work& work, std::vector<StreamHold>* holds = nullptr);

  // What the engine is asked for `work`, without a stream.
  base::Result<executor::Request> requestFor(const Work& work);

  // start and wait for blocking work that finds a plan made and nothing under way; null where it
  // has to go the long way.
  std::optional<base::Status> runAtOnce(const Work& work) {
    if (work.stream != nullptr || !config_.isBlocking || !work.table.counts.empty()) return {};
    if (replanner_ != nullptr && !replanner_->gate().pass(engine_->nextNumber())) return {};
    const auto& programs = plans_.find(work.call);
    if (programs == nullptr || !engine_->isIdle() || engine_->hasFailed()) return {};
    return engine_->run(*programs, work.input, work.output, work.factor);
  }

  // Collective over the control plane: what tuttiCommSplit needs.
  base::Result<InitArgs> splitArgs(int color, int key, const CommConfig& config);

  // Completes asynchronous work and tells peers that this rank leaves in order.
  base::Status finalize();

  // Ends everything with `why` and tells the peers. Any thread.
  void abort(const base::Status& why);

  // Ok, in progress, or the first failure. Any thread.
  base::Status asyncStatus();

  // JSON for tuttiCommDescribe.
  std::string describe();

  std::string describeRank(ir::Rank rank) const;

 private:
  Communicator() = default;

  base::Status join(const InitArgs& args, const std::atomic<bool>* isAborted);
  base::Status openSegment();
  transports::ContextOptions transportOptions() const;
  void warnOfPlainText() const;
  base::Status exchange();
  base::Status compareFabrics(const std::vector<std::pair<std::string, std::string>>& all) const;
  base::Status connect();
  base::Status greet();
  base::Status agree();
  void startEngine();
  base::Status probe();
  base::Status watchLinks();
  base::Status enterPlan();
  base::Status awaitPlan();
  void goOver(Switch&& due);
  base::Status externalFailure() const;
  base::Result<ir::Plan> planFor(const ir::Call& call, const plan::Options& options);
  base::Result<std::shared_ptr<const executor::Programs>> programsFor(const Work& work);
  base::Result<executor::Programs> programsOf(const Algorithms::Match& match,
                                              const Work& work) const;
  void logSummary(double seconds) const;

  ir::Rank rank_ = 0;
  CommConfig config_;
  ir::World world_;
  std::shared_ptr<device::Device> device_;
  std::unique_ptr<bootstrap::ControlPlane> control_;
  std::unique_ptr<transports::OwnSegment> segment_;
  std::optional<Paths> paths_;
  std::vector<std::unique_ptr<transports::Connection>> connections_;  // by rank
  std::unique_ptr<executor::Engine> engine_;
  PlanCache plans_;
  RedOps redOps_;
  uint64_t bytesOfSegment_ = 0;
  Algorithms algorithms_;
  std::unique_ptr<Fabric> fabric_;        // null: plans follow from the World alone
  std::optional<Measurements> measured_;  // where what the fabric follows from is kept
  std::unique_ptr<Replanner> replanner_;  // null: the fabric stays as it was at first

  // The first plans hold from operation 1 on.
  struct Generation {
    int number = 0;
    uint64_t from = 1;
    std::string reason;
  };
  Generation generation_;
  std::mutex plansMutex_;  // of plans_, fabric_, generation_: where they change, and in describe
};

}  // namespace tutti::comm
