#include "src/comm/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "src/base/clock.h"
#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/kept_files.h"
#include "src/base/log.h"
#include "src/comm/communicator.h"

namespace tutti::comm {

using base::Status;

namespace {

// Long enough that the bucket of a shaper and the scheduler's whims are small beside it; and so
// many times the way there and back that a TCP connection has reached its rate before.
constexpr int64_t kEnoughNs = 150'000'000;
constexpr int64_t kEnoughWays = 12;
constexpr uint64_t kFirstBytes = 128 << 10;
constexpr uint64_t kMostBytes = 64 << 20;
constexpr int kPingPongs = 15;
constexpr int kMostTimes = 5;
constexpr int64_t kLongWayNs = 1'000'000;
// Thousandths of what a direction has alone, below which the other is in its way.
constexpr int64_t kSharing = 600;
constexpr int kMostOneByOne = 16;  // hosts
// Thousandths: a rate that is lower by more than noise.
constexpr int64_t kUndisturbed = 900;

// kB/s.
int64_t rateFrom(uint64_t bytes, int64_t ns) {
  return static_cast<int64_t>(bytes) * 1'000'000 / std::max<int64_t>(1, ns);
}

uint64_t leadOf(uint64_t bytes) { return std::max<uint64_t>(1, bytes / 2); }

bool isLess(int64_t rate, int64_t than) { return rate * 1000 < than * kUndisturbed; }

// Two measurements of one rate: their mean, unless something has disturbed one of them, which makes
// lines look slower.
int64_t ofTwo(int64_t a, int64_t b) {
  const int64_t most = std::max(a, b);
  return std::min(a, b) < most / 5 * 4 ? most : (a + b) / 2;
}

// Of measurements of one rate. What disturbs one makes the line look slower, by half now and then:
// TCP's BBR stops for 200 ms every 10 s.
class BestTwo {
 public:
  void take(int64_t rate) {
    second_ = std::max(second_, std::min(first_, rate));
    first_ = std::max(first_, rate);
  }
  bool agree() const { return second_ * 1000 >= first_ * kAgreeing; }
  int64_t mean() const { return (first_ + second_) / 2; }

 private:
  static constexpr int64_t kAgreeing = 950;  // thousandths
  int64_t first_ = 0;
  int64_t second_ = 0;
};

}  // namespace

Probe::Probe(Communicator& communicator) : communicator_(communicator) {
  std::map<std::string, int> numbers;
  const auto& ranks = communicator.world().ranks;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto [found, isNew] =
        numbers.emplace(ranks[rank].host, static_cast<int>(leaders_.size()));
    hosts_.hostOfRank.push_back(found->second);
    if (!isNew) continue;
    if (static_cast<int>(rank) == communicator.rank()) self_ = found->second;
    hosts_.names.push_back(fmt::format("{}#{}", ranks[rank].hostName, leaders_.size()));
    leaders_.push_back(static_cast<int>(rank));
  }
  const size_t count = leaders_.size();
  hosts_.latencyNs.assign(count * count, 0);
  hosts_.pair.assign(count * count, 0);
  hosts_.out.assign(count, 0);
  hosts_.in.assign(count, 0);
  hosts_.kept.assign(count, 0);
  buffer_.resize(1);
}

base::Result<topology::Topology> Probe::run() {
  const int64_t start = base::nowNs();
  if (leaders_.size() < 2) {
    return Status(base::Code::kInternalError, base::kErrInternal, "one host has nothing to probe");
  }
  TUTTI_ASSIGN_OR_RETURN(const bool isKnown, recall());
  if (!isKnown) {
    Status status = measure();
    // What has failed is under way still, into the buffer that goes with this.
    if (!status.isOk()) (void)drive(messages_.size());
    TUTTI_RETURN_IF_ERROR(std::move(status));
  }
  if (!isKnown && communicator_.rank() == 0) kept_->save({hosts_, islands_});
  const double copyRate = communicator_.world().costs.copyBytesPerSecond / 1e3;
  auto topology = topology::toTopology(hosts_, islands_, static_cast<int64_t>(copyRate / 2));
  TUTTI_RETURN_IF_ERROR(topology::check(topology));
  TUTTI_LOG_INFO(kGraph, "{} {} hosts in {:.2f} s: {}", isKnown ? "knew" : "measured",
                 leaders_.size(), static_cast<double>(base::nowNs() - start) * 1e-9,
                 topology::toString(topology));
  return topology;
}

Status Probe::measure() {
  TUTTI_RETURN_IF_ERROR(measureLatencies());
  for (const Pairs& pairs : rounds()) TUTTI_RETURN_IF_ERROR(measurePairs(pairs));
  for (int host = 0; host < hosts_.size(); ++host) TUTTI_RETURN_IF_ERROR(measureHost(host));
  if (hosts_.size() <= kMostOneByOne) TUTTI_RETURN_IF_ERROR(measureSlowPairs());
  return measureIslands();
}

// Rank 0 decides whether something is known, and says what to all.
base::Result<bool> Probe::recall() {
  auto& control = communicator_.control();
  TUTTI_ASSIGN_OR_RETURN(const auto ids, control.allGather(isLeader() ? networkIdentity() : ""));
  std::vector<std::string> hosts;
  for (const int leader : leaders_) hosts.push_back(ids[static_cast<size_t>(leader)]);
  kept_.emplace(base::cacheDirectory(), hosts);
  const auto most = std::chrono::duration_cast<std::chrono::seconds>(
      base::processConfig().get(base::param::kProbeAge));
  TUTTI_ASSIGN_OR_RETURN(const auto texts,
                         control.allGather(communicator_.rank() == 0 ? kept_->load(most) : ""));
  if (texts[0].empty()) return false;
  auto known = kept_->parse(texts[0]);
  if (!known) {
    return Status(base::Code::kInternalError, base::kErrInternal,
                  "rank 0 sent a measurement that is none of these hosts");
  }
  known->hosts.names = hosts_.names;
  known->hosts.hostOfRank = hosts_.hostOfRank;
  hosts_ = std::move(known->hosts);
  islands_ = std::move(known->islands);
  return true;
}

// The circle method: in each round, pairs that share no host.
std::vector<Probe::Pairs> Probe::rounds() const {
  const int hosts = hosts_.size();
  const int places = hosts + hosts % 2;
  std::vector<Pairs> rounds;
  for (int round = 0; round + 1 < places; ++round) {
    Pairs pairs;
    for (int i = 0; i < places / 2; ++i) {
      const auto place = [&](int k) { return k == 0 ? 0 : 1 + (k - 1 + round) % (places - 1); };
      const int a = place(i);
      const int b = place(places - 1 - i);
      if (a < hosts && b < hosts) pairs.emplace_back(std::min(a, b), std::max(a, b));
    }
    rounds.push_back(std::move(pairs));
  }
  return rounds;
}

Status Probe::measureLatencies() {
  for (const Pairs& pairs : rounds()) {
    std::vector<int64_t> mine(leaders_.size(), 0);
    for (const auto& [a, b] : pairs) {
      if (self_ != a && self_ != b) continue;
      TUTTI_ASSIGN_OR_RETURN(mine[static_cast<size_t>(b)],
                             pingPong(self_ == a ? b : a, self_ == a));
    }
    TUTTI_ASSIGN_OR_RETURN(const auto all, share(mine));
    for (const auto& [a, b] : pairs) {
      const int64_t ns = all[static_cast<size_t>(b)];
      hosts_.latencyNs[at(a, b)] = hosts_.latencyNs[at(b, a)] = ns;
    }
  }
  return {};
}

// Half the way there and back: the median, which has in it what hosts that share cores, or a busy
// network, add to it.
base::Result<int64_t> Probe::pingPong(int peer, bool isFirst) {
  std::array<int64_t, kPingPongs> halves;
  for (int64_t& half : halves) {
    const int64_t start = base::nowNs();
    for (const bool isSend : {isFirst, !isFirst}) {
      TUTTI_RETURN_IF_ERROR(this->start(peer, isSend, 1));
      TUTTI_RETURN_IF_ERROR(drive(messages_.size()));
      messages_.clear();
    }
    half = (base::nowNs() - start) / 2;
  }
  std::nth_element(halves.begin(), halves.begin() + kPingPongs / 2, halves.end());
  return isFirst ? halves[kPingPongs / 2] : 0;
}

// All of them at a time, and both directions of each, as collectives use them. Not where ways are
// long: what is read is told behind what the kernel keeps of the other direction, and windows then
// are too short for both at full rate until they have grown, which takes longer than this.
Status Probe::measurePairs(const Pairs& pairs) {
  Pairs back;
  bool isLong = false;
  for (const auto& [a, b] : pairs) {
    back.emplace_back(b, a);
    isLong |= hosts_.latencyNs[at(a, b)] >= kLongWayNs;
  }
  Pairs both = pairs;
  both.insert(both.end(), back.begin(), back.end());
  if (!isLong) return measureFlows(both);
  TUTTI_RETURN_IF_ERROR(measureFlows(pairs));
  TUTTI_RETURN_IF_ERROR(measureFlows(back));
  return measureShared(both);
}

// Ways whose directions share what they carry have less than one direction alone.
Status Probe::measureShared(const Pairs& both) {
  std::vector<Flow> flows;
  for (const auto& [from, to] : both) flows.push_back({from, to, bytesFor(from, to)});
  std::vector<int64_t> seen(flows.size(), 0);
  const auto isSharing = [&](size_t i) {
    return seen[i] * 1000 < hosts_.pair[at(flows[i].from, flows[i].to)] * kSharing;
  };
  // A single loss may double the time of so short a flow: what shares does so again.
  bool isDoubtful = true;
  for (int taken = 0; taken < 2 && isDoubtful; ++taken) {
    TUTTI_ASSIGN_OR_RETURN(const auto ns, timeSteady(flows));
    isDoubtful = false;
    for (size_t i = 0; i < flows.size(); ++i) {
      seen[i] = std::max(seen[i], rateFrom(flows[i].bytes, ns[i]));
      isDoubtful |= isSharing(i);
    }
  }
  for (size_t i = 0; i < flows.size(); ++i) {
    if (isSharing(i)) hosts_.pair[at(flows[i].from, flows[i].to)] = seen[i];
  }
  return {};
}

Status Probe::measureFlows(const Pairs& pairs) {
  std::vector<Flow> flows;
  for (const auto& [from, to] : pairs) flows.push_back({from, to, kFirstBytes});
  // Longer until it is long enough, and then until two of each agree.
  std::vector<BestTwo> best(flows.size());
  for (int taken = 0; taken < kMostTimes;) {
    TUTTI_ASSIGN_OR_RETURN(const auto ns, timeSteady(flows));
    if (lengthen(flows, ns)) continue;
    for (size_t i = 0; i < flows.size(); ++i) best[i].take(rateFrom(flows[i].bytes, ns[i]));
    ++taken;
    if (std::all_of(best.begin(), best.end(), [](const BestTwo& each) { return each.agree(); })) {
      break;
    }
  }
  for (size_t i = 0; i < flows.size(); ++i) {
    hosts_.pair[at(flows[i].from, flows[i].to)] = best[i].mean();
  }
  return {};
}

// False where all took long enough.
bool Probe::lengthen(std::vector<Flow>& flows, const std::vector<int64_t>& ns) const {
  bool isLonger = false;
  for (size_t i = 0; i < flows.size(); ++i) {
    const int64_t wanted = enoughNs(flows[i].from, flows[i].to);
    if (ns[i] >= wanted * 3 / 4 || flows[i].bytes >= kMostBytes) continue;
    isLonger = true;
    const int64_t factor = std::clamp<int64_t>(wanted / std::max<int64_t>(1, ns[i]), 2, 64);
    flows[i].bytes = std::min(kMostBytes, flows[i].bytes * static_cast<uint64_t>(factor));
  }
  return isLonger;
}

// Pairs that were slower than both hosts are to others may have been measured together with one
// that shares a line with them: alone now.
Status Probe::measureSlowPairs() {
  std::vector<bool> isChanged(leaders_.size(), false);
  for (const Pairs& pairs : rounds()) {
    for (const auto& [a, b] : pairs) {
      if (pairs.size() == 1 || !(isSlow(a, b) || isSlow(b, a))) continue;
      const int64_t there = hosts_.pair[at(a, b)];
      const int64_t back = hosts_.pair[at(b, a)];
      TUTTI_RETURN_IF_ERROR(measurePairs({{a, b}}));
      if (isLess(there, hosts_.pair[at(a, b)]) || isLess(back, hosts_.pair[at(b, a)])) {
        isChanged[static_cast<size_t>(a)] = isChanged[static_cast<size_t>(b)] = true;
      }
    }
  }
  for (int host = 0; host < hosts_.size(); ++host) {
    if (isChanged[static_cast<size_t>(host)]) TUTTI_RETURN_IF_ERROR(measureHost(host));
  }
  return {};
}

bool Probe::isSlow(int from, int to) const {
  return isLess(hosts_.pair[at(from, to)], std::min(topology::lineOf(hosts_, from, true),
                                                    topology::lineOf(hosts_, to, false)));
}

// What a pair moves in a fitting time if it is alone.
uint64_t Probe::bytesFor(int from, int to) const {
  const auto ms = static_cast<uint64_t>(enoughNs(from, to) / 1'000'000);
  return std::clamp<uint64_t>(static_cast<uint64_t>(hosts_.pair[at(from, to)]) * ms, 1, kMostBytes);
}

int64_t Probe::enoughNs(int from, int to) const {
  return std::max(kEnoughNs, 2 * kEnoughWays * hosts_.latencyNs[at(from, to)]);
}

// What all of these pairs carry together, measured twice where that is less than one of them alone.
// No host both sends and receives.
base::Result<Probe::Joint> Probe::measureJointly(const Pairs& pairs, int timekeeper) {
  std::vector<Flow> flows;
  std::vector<uint64_t> most;
  int64_t wanted = 0;
  int64_t fastest = 0;
  for (const auto& [from, to] : pairs) {
    fastest = std::max(fastest, hosts_.pair[at(from, to)] * kUndisturbed / 1000);
    most.push_back(bytesFor(from, to));
    flows.push_back({from, to, std::max<uint64_t>(1, most.back() / (2 * pairs.size()))});
    wanted = std::max(wanted, enoughNs(from, to) / 2);
  }
  // As much as takes long enough behind one line; more where they turn out to have several.
  Joint joint;
  for (int left = 2; left > 0;) {
    TUTTI_ASSIGN_OR_RETURN(const auto ns, timeWhole(flows, timekeeper));
    const int64_t longest = std::max<int64_t>(1, *std::max_element(ns.begin(), ns.end()));
    if (left == 2 && longest < wanted * 3 / 4 && flows[0].bytes < most[0]) {
      const auto factor = static_cast<uint64_t>(std::max<int64_t>(2, wanted / longest));
      for (size_t i = 0; i < flows.size(); ++i) {
        flows[i].bytes = std::min(most[i], flows[i].bytes * factor);
      }
      continue;
    }
    const Joint seen = jointRate(flows, ns);
    joint.rate = left == 2 ? seen.rate : ofTwo(joint.rate, seen.rate);
    joint.kept = std::max(joint.kept, seen.kept);
    left = joint.kept >= kUndisturbed || joint.rate >= fastest ? 0 : left - 1;
  }
  return joint;
}

Probe::Joint Probe::jointRate(const std::vector<Flow>& flows,
                              const std::vector<int64_t>& ns) const {
  Joint joint;
  joint.kept = 1000;
  std::vector<std::pair<int64_t, uint64_t>> ends;  // ns and bytes
  for (size_t i = 0; i < flows.size(); ++i) {
    const int64_t rate = rateFrom(flows[i].bytes, ns[i]);
    const int64_t alone = hosts_.pair[at(flows[i].from, flows[i].to)];
    joint.kept = std::min(joint.kept, rate * 1000 / std::max<int64_t>(1, alone));
    joint.rate += rate;
    ends.emplace_back(ns[i], flows[i].bytes);
  }
  // Only lines of their own need not end together. Of those that share one, at least this much had
  // arrived when each ended: a lost packet delays one of them by 200 ms and more.
  if (joint.kept < kUndisturbed) {
    std::sort(ends.begin(), ends.end());
    joint.rate = 0;
    uint64_t arrived = 0;
    for (const auto& [end, bytes] : ends) {
      arrived += bytes;
      joint.rate = std::max(joint.rate, rateFrom(arrived, end));
    }
  }
  return joint;
}

Status Probe::measureHost(int host) {
  Pairs out;
  Pairs in;
  for (int other = 0; other < hosts_.size(); ++other) {
    if (other == host) continue;
    out.emplace_back(host, other);
    in.emplace_back(other, host);
  }
  TUTTI_ASSIGN_OR_RETURN(const Joint sent, measureJointly(out, host));
  TUTTI_ASSIGN_OR_RETURN(const Joint received, measureJointly(in, host));
  hosts_.out[static_cast<size_t>(host)] = sent.rate;
  hosts_.in[static_cast<size_t>(host)] = received.rate;
  hosts_.kept[static_cast<size_t>(host)] = std::min(sent.kept, received.kept);
  return {};
}

Status Probe::measureIslands() {
  islands_.islands = topology::measuredIslands(hosts_);
  const size_t count = islands_.islands.size();
  islands_.between.assign(count * count, 0);
  islands_.out.assign(count, 0);
  islands_.in.assign(count, 0);
  if (count < 2 || topology::isMesh(hosts_)) return {};
  const auto between = [&](size_t from, size_t to, Pairs& pairs) {
    for (const int a : islands_.islands[from]) {
      for (const int b : islands_.islands[to]) pairs.emplace_back(a, b);
    }
  };
  for (size_t from = 0; from < count; ++from) {
    const int keeper = islands_.islands[from][0];
    Pairs out;
    Pairs in;
    for (size_t to = 0; to < count; ++to) {
      if (to == from) continue;
      Pairs pairs;
      between(from, to, pairs);
      TUTTI_ASSIGN_OR_RETURN(const Joint joint, measureJointly(pairs, keeper));
      islands_.between[from * count + to] = joint.rate;
      between(from, to, out);
      between(to, from, in);
    }
    TUTTI_ASSIGN_OR_RETURN(const Joint sent, measureJointly(out, keeper));
    TUTTI_ASSIGN_OR_RETURN(const Joint received, measureJointly(in, keeper));
    islands_.out[from] = sent.rate;
    islands_.in[from] = received.rate;
  }
  return {};
}

// All flows at a time, in nanoseconds by flow, known to all. Each sends a lead beforehand, so that
// what is timed, between the arrivals of both messages, is steady. It begins when its receiver says
// so: what waits for one that is late would arrive at once.
base::Result<std::vector<int64_t>> Probe::timeSteady(const std::vector<Flow>& flows) {
  makeRoom(flows);
  for (const Flow& flow : flows) {
    if (flow.from == self_) TUTTI_RETURN_IF_ERROR(start(flow.to, false, 1));
    if (flow.to == self_) TUTTI_RETURN_IF_ERROR(start(flow.from, true, 1));
  }
  std::vector<int64_t> mine(flows.size(), 0);
  std::vector<std::pair<const Message*, const Message*>> arrivals(flows.size());
  const size_t announced = messages_.size();
  for (size_t i = 0; i < flows.size(); ++i) {
    if (flows[i].to != self_) continue;
    TUTTI_RETURN_IF_ERROR(start(flows[i].from, false, leadOf(flows[i].bytes)));
    arrivals[i].first = &messages_.back();
    TUTTI_RETURN_IF_ERROR(start(flows[i].from, false, flows[i].bytes));
    arrivals[i].second = &messages_.back();
  }
  TUTTI_RETURN_IF_ERROR(drive(announced));
  for (const Flow& flow : flows) {
    if (flow.from != self_) continue;
    TUTTI_RETURN_IF_ERROR(start(flow.to, true, leadOf(flow.bytes)));
    TUTTI_RETURN_IF_ERROR(start(flow.to, true, flow.bytes));
  }
  TUTTI_RETURN_IF_ERROR(drive(messages_.size()));
  for (size_t i = 0; i < flows.size(); ++i) {
    if (arrivals[i].first) mine[i] = arrivals[i].second->doneNs - arrivals[i].first->doneNs;
  }
  messages_.clear();
  return share(mine);
}

// All flows at a time from one moment on, in nanoseconds by flow, known to all. By the clock of one
// host, since none begins when others do: it tells the senders to begin and hears of what has
// arrived. No host both sends and receives.
base::Result<std::vector<int64_t>> Probe::timeWhole(const std::vector<Flow>& flows,
                                                    int timekeeper) {
  makeRoom(flows);
  const int64_t begin = base::nowNs();
  std::vector<Message*> reports(flows.size(), nullptr);
  const bool isKeeper = self_ == timekeeper;
  for (size_t i = 0; i < flows.size(); ++i) {
    const auto& [from, to, bytes] = flows[i];
    const bool isFirst = std::none_of(flows.begin(), flows.begin() + static_cast<ptrdiff_t>(i),
                                      [&, sender = from](auto& f) { return f.from == sender; });
    if (isFirst && from != timekeeper && isKeeper) TUTTI_RETURN_IF_ERROR(start(from, true, 1));
    if (isFirst && from != timekeeper && self_ == from) {
      TUTTI_RETURN_IF_ERROR(start(timekeeper, false, 1));
      TUTTI_RETURN_IF_ERROR(drive(messages_.size()));
    }
    if (self_ == from || self_ == to) {
      TUTTI_RETURN_IF_ERROR(start(self_ == from ? to : from, self_ == from, bytes));
      reports[i] = &messages_.back();
    }
    if (isKeeper && to != timekeeper) {
      TUTTI_RETURN_IF_ERROR(start(to, false, 1));
      reports[i] = &messages_.back();
    }
  }
  for (size_t i = 0; i < flows.size(); ++i) {
    if (flows[i].to != self_ || isKeeper) continue;
    TUTTI_RETURN_IF_ERROR(finish(*reports[i]));
    TUTTI_RETURN_IF_ERROR(start(timekeeper, true, 1));
  }
  TUTTI_RETURN_IF_ERROR(drive(messages_.size()));
  std::vector<int64_t> mine(flows.size(), 0);
  for (size_t i = 0; isKeeper && i < flows.size(); ++i) {
    const int64_t ways = hosts_.latencyNs[at(timekeeper, flows[i].from)] +
                         hosts_.latencyNs[at(flows[i].to, timekeeper)];
    mine[i] = std::max<int64_t>(1, reports[i]->doneNs - begin - ways);
  }
  messages_.clear();
  return share(mine);
}

void Probe::makeRoom(const std::vector<Flow>& flows) {
  uint64_t most = 1;
  for (const Flow& flow : flows) most = std::max(most, flow.bytes);
  if (isLeader() && buffer_.size() < most) buffer_.resize(most);
}

Status Probe::start(int peer, bool isSend, uint64_t bytes) {
  Work work;
  work.call.collective = isSend ? ir::Collective::kSend : ir::Collective::kRecv;
  work.call.type = ir::DataType::kUint8;
  work.call.count = bytes;
  work.call.root = leaders_[static_cast<size_t>(peer)];
  work.input = buffer_.data();
  work.output = buffer_.data();
  TUTTI_ASSIGN_OR_RETURN(auto request, communicator_.requestFor(work));
  Message& message = messages_.emplace_back();
  request.doneNs = &message.doneNs;
  message.operation = communicator_.engine().start(std::move(request));
  return {};
}

Status Probe::finish(Message& message) {
  executor::Operation* operation = std::exchange(message.operation, nullptr);
  return operation ? communicator_.engine().wait(operation) : Status();
}

// Finishes the first so many of those that were started.
Status Probe::drive(size_t count) {
  Status first;
  for (size_t i = 0; i < count; ++i) {
    Status status = finish(messages_[i]);
    if (first.isOk()) first = std::move(status);
  }
  return first;
}

// Every figure is known to one rank, the others have 0.
base::Result<std::vector<int64_t>> Probe::share(const std::vector<int64_t>& mine) {
  TUTTI_ASSIGN_OR_RETURN(
      const auto texts, communicator_.control().allGather(fmt::format("{}", fmt::join(mine, " "))));
  std::vector<int64_t> all(mine.size(), 0);
  for (const std::string& text : texts) {
    const char* at = text.data();
    const char* end = at + text.size();
    for (int64_t& value : all) {
      int64_t theirs = 0;
      const auto parsed = std::from_chars(at, end, theirs);
      if (parsed.ec != std::errc()) {
        return Status(base::Code::kInternalError, base::kErrInternal,
                      "a rank sent malformed measurements");
      }
      at = std::min(parsed.ptr + 1, end);
      value = std::max(value, theirs);
    }
  }
  return all;
}

}  // namespace tutti::comm
