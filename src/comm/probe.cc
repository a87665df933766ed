#include "src/comm/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
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
constexpr int64_t kEnoughNs = 70'000'000;
constexpr int64_t kEnoughWays = 20;
constexpr uint64_t kFirstBytes = 128 << 10;
constexpr uint64_t kMostBytes = 64 << 20;
constexpr int kPingPongs = 6;
constexpr int kMostOneByOne = 8;  // hosts

// kB/s.
int64_t rateFrom(uint64_t bytes, int64_t ns) {
  return static_cast<int64_t>(bytes) * 1'000'000 / std::max<int64_t>(1, ns);
}

uint64_t leadOf(uint64_t bytes) { return std::max<uint64_t>(1, bytes / 2); }

// Two measurements of one rate: their mean, unless something has disturbed one of them, which makes
// lines look slower.
int64_t ofTwo(int64_t a, int64_t b) {
  const int64_t most = std::max(a, b);
  return std::min(a, b) < most / 5 * 4 ? most : (a + b) / 2;
}

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
  if (!isKnown) TUTTI_RETURN_IF_ERROR(measure());
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
  TUTTI_RETURN_IF_ERROR(measurePairs());
  TUTTI_RETURN_IF_ERROR(measureHosts());
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

// Half the way there and back, the least of some.
base::Result<int64_t> Probe::pingPong(int peer, bool isFirst) {
  int64_t least = 0;
  for (int i = 0; i < kPingPongs; ++i) {
    const int64_t start = base::nowNs();
    for (const bool isSend : {isFirst, !isFirst}) {
      TUTTI_RETURN_IF_ERROR(this->start(peer, isSend, 1, 0, false));
      TUTTI_RETURN_IF_ERROR(drive());
      messages_.clear();
    }
    const int64_t ns = (base::nowNs() - start) / 2;
    least = i == 0 ? ns : std::min(least, ns);
  }
  return isFirst ? least : 0;
}

// Both directions of a pair at a time, as collectives use them.
Status Probe::measurePairs() {
  std::vector<Pairs> groups = rounds();
  if (hosts_.size() <= kMostOneByOne) {
    std::vector<Pairs> single;
    for (const Pairs& pairs : groups) {
      for (const auto& pair : pairs) single.push_back({pair});
    }
    groups = std::move(single);
  }
  for (const Pairs& pairs : groups) {
    std::vector<Flow> flows;
    for (const auto& [a, b] : pairs) {
      flows.push_back({a, b, kFirstBytes});
      flows.push_back({b, a, kFirstBytes});
    }
    // Longer until it is long enough, and then once more.
    for (int left = 2; left > 0;) {
      TUTTI_ASSIGN_OR_RETURN(const auto ns, time(flows, false));
      bool isEnough = true;
      for (size_t i = 0; i < flows.size(); ++i) {
        int64_t& rate = hosts_.pair[at(flows[i].from, flows[i].to)];
        const int64_t seen = rateFrom(flows[i].bytes, ns[i]);
        rate = left == 1 ? ofTwo(rate, seen) : seen;
        const int64_t wanted = enoughNs(flows[i].from, flows[i].to);
        if (ns[i] >= wanted * 3 / 4 || flows[i].bytes >= kMostBytes) continue;
        isEnough = false;
        const int64_t factor = std::clamp<int64_t>(wanted / std::max<int64_t>(1, ns[i]), 2, 16);
        if (left == 2) {
          flows[i].bytes = std::min(kMostBytes, flows[i].bytes * static_cast<uint64_t>(factor));
        }
      }
      if (isEnough || left == 1) --left;
    }
  }
  return {};
}

// What a pair moves in a fitting time if it is alone.
uint64_t Probe::bytesFor(int from, int to) const {
  const auto ms = static_cast<uint64_t>(enoughNs(from, to) / 1'000'000);
  return std::clamp<uint64_t>(static_cast<uint64_t>(hosts_.pair[at(from, to)]) * ms, 1, kMostBytes);
}

int64_t Probe::enoughNs(int from, int to) const {
  return std::max(kEnoughNs, 2 * kEnoughWays * hosts_.latencyNs[at(from, to)]);
}

// What all of these pairs carry together, measured twice where they disturb each other.
base::Result<Probe::Joint> Probe::measureJointly(const Pairs& pairs) {
  constexpr int64_t kUndisturbed = 900;
  std::vector<Flow> flows;
  uint64_t bytes = 0;
  for (const auto& [from, to] : pairs) {
    flows.push_back({from, to, bytesFor(from, to)});
    bytes += flows.back().bytes + leadOf(flows.back().bytes);
  }
  Joint joint;
  for (int i = 0; i < 2 && joint.kept < kUndisturbed; ++i) {
    // All of it: flows that share a line do not begin and end their timed parts together.
    TUTTI_ASSIGN_OR_RETURN(const auto ns, time(flows, true));
    int64_t kept = 1000;
    int64_t sum = 0;
    for (size_t k = 0; k < flows.size(); ++k) {
      const int64_t rate = rateFrom(flows[k].bytes + leadOf(flows[k].bytes), ns[k]);
      const int64_t alone = hosts_.pair[at(flows[k].from, flows[k].to)];
      kept = std::min(kept, rate * 1000 / std::max<int64_t>(1, alone));
      sum += rate;
    }
    // Lines of their own need not end together.
    const int64_t together = rateFrom(bytes, *std::max_element(ns.begin(), ns.end()));
    const int64_t rate = kept >= kUndisturbed ? sum : together;
    joint.rate = i == 0 ? rate : ofTwo(joint.rate, rate);
    joint.kept = std::max(joint.kept, kept);
  }
  return joint;
}

Status Probe::measureHosts() {
  for (int host = 0; host < hosts_.size(); ++host) {
    Pairs out;
    Pairs in;
    for (int other = 0; other < hosts_.size(); ++other) {
      if (other == host) continue;
      out.emplace_back(host, other);
      in.emplace_back(other, host);
    }
    TUTTI_ASSIGN_OR_RETURN(const Joint sent, measureJointly(out));
    TUTTI_ASSIGN_OR_RETURN(const Joint received, measureJointly(in));
    hosts_.out[static_cast<size_t>(host)] = sent.rate;
    hosts_.in[static_cast<size_t>(host)] = received.rate;
    hosts_.kept[static_cast<size_t>(host)] = std::min(sent.kept, received.kept);
  }
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
    Pairs out;
    Pairs in;
    for (size_t to = 0; to < count; ++to) {
      if (to == from) continue;
      Pairs pairs;
      between(from, to, pairs);
      TUTTI_ASSIGN_OR_RETURN(const Joint joint, measureJointly(pairs));
      islands_.between[from * count + to] = joint.rate;
      between(from, to, out);
      between(to, from, in);
    }
    TUTTI_ASSIGN_OR_RETURN(const Joint sent, measureJointly(out));
    TUTTI_ASSIGN_OR_RETURN(const Joint received, measureJointly(in));
    islands_.out[from] = sent.rate;
    islands_.in[from] = received.rate;
  }
  return {};
}

// All flows at a time: each sends a lead beforehand, so that what is timed, between the arrivals of
// both messages, is steady; or, `isWhole`, from the start. Nanoseconds by flow, known to all.
base::Result<std::vector<int64_t>> Probe::time(const std::vector<Flow>& flows, bool isWhole) {
  const int64_t begin = base::nowNs();
  uint64_t most = 1;
  for (const Flow& flow : flows) most = std::max(most, flow.bytes);
  if (isLeader() && buffer_.size() < most) buffer_.resize(most);
  for (size_t i = 0; isLeader() && i < flows.size(); ++i) {
    const Flow& flow = flows[i];
    if (flow.from != self_ && flow.to != self_) continue;
    const bool isSend = flow.from == self_;
    const int peer = isSend ? flow.to : flow.from;
    TUTTI_RETURN_IF_ERROR(start(peer, isSend, leadOf(flow.bytes), i, false));
    TUTTI_RETURN_IF_ERROR(start(peer, isSend, flow.bytes, i, !isSend));
  }
  TUTTI_RETURN_IF_ERROR(drive());
  std::vector<int64_t> mine(flows.size(), 0);
  for (size_t i = 0; i < messages_.size(); ++i) {
    if (!messages_[i].isTimed) continue;
    mine[messages_[i].flow] = messages_[i].doneNs - (isWhole ? begin : messages_[i - 1].doneNs);
  }
  messages_.clear();
  return share(mine);
}

Status Probe::start(int peer, bool isSend, uint64_t bytes, size_t flow, bool isTimed) {
  Work work;
  work.call.collective = isSend ? ir::Collective::kSend : ir::Collective::kRecv;
  work.call.type = ir::DataType::kUint8;
  work.call.count = bytes;
  work.call.root = leaders_[static_cast<size_t>(peer)];
  work.input = buffer_.data();
  work.output = buffer_.data();
  Message& message = messages_.emplace_back();
  message.flow = flow;
  message.isTimed = isTimed;
  TUTTI_ASSIGN_OR_RETURN(auto request, communicator_.requestFor(work));
  request.doneNs = &message.doneNs;
  message.operation = communicator_.engine().start(std::move(request));
  return {};
}

Status Probe::drive() {
  Status first;
  for (const Message& message : messages_) {
    Status status = communicator_.engine().wait(message.operation);
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
