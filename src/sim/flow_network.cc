#include "src/sim/flow_network.h"

#include <algorithm>
#include <map>

namespace tutti::sim {
namespace {

// A byte in units of rate x time: 2^-16 kB/s x 1 ps is 10^3 / 2^16 / 10^12 bytes.
constexpr Wide kByte = Wide{1'000'000'000} << kRateBits;

}  // namespace

FlowNetwork::FlowNetwork(const topology::Topology& topology, int toleranceBits)
    : linkCount_(topology.links.size()),
      resourceCount_(topology.resources.size()),
      charges_(topology.links.size()),
      shares_(toleranceBits) {
  for (const topology::Link& link : topology.links) shares_.addConstraint(link.capacity);
  for (const topology::Resource& resource : topology.resources) {
    const auto index = shares_.addConstraint(resource.capacity) - static_cast<int>(linkCount_);
    for (const topology::Charge& charge : resource.charges) {
      charges_[static_cast<size_t>(charge.link)].push_back({index, charge.units});
    }
  }
}

PathIndex FlowNetwork::addPath(std::span<const topology::LinkIndex> links, int64_t cap) {
  std::map<ConstraintIndex, int32_t> units;
  std::map<ConstraintIndex, int32_t> resources;
  for (const topology::LinkIndex link : links) {
    ++units[link];
    for (const Use& charge : charges_[static_cast<size_t>(link)]) {
      resources[charge.constraint] += charge.units;
    }
  }
  Path& added = paths_.emplace_back();
  added.links.assign(links.begin(), links.end());
  for (const auto& [resource, count] : resources) {
    added.resources.push_back({resource, count});
    units[resource + static_cast<int>(linkCount_)] = count;
  }
  std::vector<Use> uses;
  for (const auto& [constraint, count] : units) uses.push_back({constraint, count});
  return shares_.addPath(uses, cap);
}

PathIndex FlowNetwork::addPath(ConstraintIndex constraint) {
  paths_.emplace_back();
  const Use use{constraint, 1};
  return shares_.addPath({&use, 1}, 0);
}

void FlowNetwork::start(PathIndex path, uint64_t bytes, Time delay, uint64_t name) {
  ++flows_;
  at(path).bytes += bytes;
  if (delay == 0 && bytes > 0) return join(path, bytes, started_++, name);
  timers_.push({later(now_, delay), started_++, name, bytes, path});
}

void FlowNetwork::wait(Time delay, uint64_t name) {
  timers_.push({later(now_, delay), started_++, name, 0, -1});
}

void FlowNetwork::join(PathIndex index, uint64_t bytes, uint64_t number, uint64_t name) {
  Path& path = at(index);
  bookUntilNow(path);
  path.flows.push_back({path.account + Wide{bytes} * kByte, number, name});
  std::push_heap(path.flows.begin(), path.flows.end());
  if (path.flows.front().number == number) moved_.push_back(index);
  shares_.change(index, 1);
}

void FlowNetwork::bookUntilNow(Path& path) const {
  path.account += Wide{path.rate} * (now_ - path.since);
  path.since = now_;
}

// `path` is booked until now.
Time FlowNetwork::endOfFirst(const Path& path) const {
  if (path.flows.empty() || path.rate == 0) return kNever;
  const Wide left = std::max<Wide>(0, path.flows.front().end - path.account);
  const Wide time = (left + path.rate - 1) / path.rate;
  return time >= kNever ? kNever : later(now_, static_cast<Time>(time));
}

// A path that has become slower keeps its time in the heap: it is early, and is put right when its
// turn comes.
void FlowNetwork::settle() {
  for (const PathIndex index : shares_.settle()) {
    Path& path = at(index);
    const Rate rate = shares_.rate(index);
    if (rate == path.rate) continue;
    bookUntilNow(path);
    const bool isSlower = rate < path.rate;
    path.rate = rate;
    if (rate == 0 || !isSlower) ends_.set(index, endOfFirst(path));
  }
  for (const PathIndex index : moved_) {
    Path& path = at(index);
    bookUntilNow(path);
    ends_.set(index, endOfFirst(path));
  }
  moved_.clear();
}

bool FlowNetwork::advance(std::vector<uint64_t>& ended) {
  ended.clear();
  const Time before = now_;
  while (ended.empty()) {
    settle();
    Time next = ends_.isEmpty() ? kNever : ends_.firstTime();
    if (!timers_.empty()) next = std::min(next, timers_.top().time);
    if (next == kNever) {
      now_ = before;
      return false;
    }
    now_ = next;
    takeFlows(ended);
    takeTimers(ended);
  }
  ended_ += ended.size();
  return true;
}

void FlowNetwork::takeFlows(std::vector<uint64_t>& ended) {
  while (!ends_.isEmpty() && ends_.firstTime() == now_) {
    const PathIndex index = ends_.first();
    Path& path = at(index);
    bookUntilNow(path);
    while (!path.flows.empty() && path.flows.front().end <= path.account) {
      ended.push_back(path.flows.front().name);
      std::pop_heap(path.flows.begin(), path.flows.end());
      path.flows.pop_back();
      shares_.change(index, -1);
    }
    ends_.set(index, endOfFirst(path));
  }
}

void FlowNetwork::takeTimers(std::vector<uint64_t>& ended) {
  while (!timers_.empty() && timers_.top().time == now_) {
    const Timer timer = timers_.top();
    timers_.pop();
    if (timer.bytes > 0) {
      join(timer.path, timer.bytes, timer.number, timer.name);
    } else {
      ended.push_back(timer.name);
    }
  }
}

std::vector<uint64_t> FlowNetwork::bytesOfLinks() const {
  std::vector<uint64_t> bytes(linkCount_);
  for (const Path& path : paths_) {
    for (const topology::LinkIndex link : path.links)
      bytes[static_cast<size_t>(link)] += path.bytes;
  }
  return bytes;
}

std::vector<uint64_t> FlowNetwork::bytesOfResources() const {
  std::vector<uint64_t> bytes(resourceCount_);
  for (const Path& path : paths_) {
    for (const Use& use : path.resources) {
      bytes[static_cast<size_t>(use.constraint)] += path.bytes * static_cast<uint64_t>(use.units);
    }
  }
  return bytes;
}

}  // namespace tutti::sim
