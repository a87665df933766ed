// Measures what joins the hosts of a communicator: latency and rate of each pair, what each host
// sends and receives in all, and what islands of hosts share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/status.h"
#include "src/comm/measurements.h"
#include "src/executor/operation.h"
#include "topology/measured.h"

namespace tutti::comm {

class Communicator;

// Collective, on a communicator that is connected and does nothing else: every rank makes one and
// calls run. The lowest rank of each host sends and receives, the others keep time.
class Probe {
 public:
  explicit Probe(Communicator& communicator);

  // The same fabric on every rank, since all see all results. As many pairs at a time as do not
  // meet, up to 16 hosts those that may have disturbed each other once more alone: 0.1 to 0.4 s for
  // each step, more where lines are slow or long. Blocks; fails where messages do.
  // What earlier ones of the same hosts measured is taken instead where rank 0 has it and it is not
  // older than TUTTI_PROBE_AGE.
  base::Result<topology::Topology> run();

  // Where it is kept; valid after run.
  const Measurements& kept() const { return *kept_; }

 private:
  // By number of host.
  struct Flow {
    int from;
    int to;
    uint64_t bytes;
  };
  using Pairs = std::vector<std::pair<int, int>>;
  struct Message {
    executor::Operation* operation = nullptr;  // null once finished
    int64_t doneNs = 0;
  };

  base::Status measure();
  base::Result<bool> recall();
  std::vector<Pairs> rounds() const;
  base::Status measureLatencies();
  base::Status measurePairs(const Pairs& pairs);
  base::Status measureFlows(const Pairs& pairs);
  base::Status measureShared(const Pairs& both);
  bool lengthen(std::vector<Flow>& flows, const std::vector<int64_t>& ns) const;
  base::Status measureSlowPairs();
  bool isSlow(int from, int to) const;
  base::Status measureHost(int host);
  base::Status measureIslands();
  struct Joint {
    int64_t rate = 0;  // of all, kB/s
    int64_t kept = 0;  // thousandths of its own rate that the worst off had
  };
  base::Result<Joint> measureJointly(const Pairs& pairs, int timekeeper);
  Joint jointRate(const std::vector<Flow>& flows, const std::vector<int64_t>& ns) const;

  base::Result<std::vector<int64_t>> timeSteady(const std::vector<Flow>& flows);
  base::Result<std::vector<int64_t>> timeWhole(const std::vector<Flow>& flows, int timekeeper);
  void makeRoom(const std::vector<Flow>& flows);
  base::Status start(int peer, bool isSend, uint64_t bytes);
  base::Status finish(Message& message);
  base::Status drive(size_t count);
  base::Result<int64_t> pingPong(int peer, bool isFirst);
  base::Result<std::vector<int64_t>> share(const std::vector<int64_t>& mine);

  bool isLeader() const { return self_ >= 0; }
  size_t at(int from, int to) const {
    return static_cast<size_t>(from) * leaders_.size() + static_cast<size_t>(to);
  }
  uint64_t bytesFor(int from, int to) const;
  int64_t enoughNs(int from, int to) const;

  Communicator& communicator_;
  std::vector<int> leaders_;  // by host: its lowest rank
  std::optional<Measurements> kept_;
  int self_ = -1;  // the host that this rank leads
  topology::MeasuredHosts hosts_;
  topology::MeasuredIslands islands_;
  std::vector<std::byte> buffer_;  // what is in it does not matter
  std::deque<Message> messages_;   // under way
};

}  // namespace tutti::comm
