#include "src/plan/flow.h"

#include <algorithm>

namespace tutti::plan {

template <typename Capacity>
FlowNetwork<Capacity>::FlowNetwork(int32_t nodes, std::span<const ArcPair<Capacity>> pairs)
    : first_(at(nodes) + 1, 0),
      arcs_(2 * pairs.size()),
      capacity_(2 * pairs.size()),
      place_(pairs.size()),
      isTouched_(2 * pairs.size(), 0),
      distance_(at(nodes), -1),
      current_(at(nodes), 0) {
  for (const auto& pair : pairs) {
    ++first_[at(pair.from) + 1];
    ++first_[at(pair.to) + 1];
  }
  for (size_t node = 1; node < first_.size(); ++node) first_[node] += first_[node - 1];
  std::vector<int32_t> next(first_.begin(), first_.end() - 1);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const int32_t there = next[at(pairs[i].from)]++;
    const int32_t back = next[at(pairs[i].to)]++;
    arcs_[at(there)] = {pairs[i].to, back, pairs[i].forward};
    arcs_[at(back)] = {pairs[i].from, there, pairs[i].backward};
    capacity_[at(there)] = pairs[i].forward;
    capacity_[at(back)] = pairs[i].backward;
    place_[i] = there;
  }
}

template <typename Capacity>
void FlowNetwork<Capacity>::setCapacity(int32_t pair, Capacity forward, Capacity backward) {
  const int32_t there = place_[at(pair)];
  const int32_t back = arcs_[at(there)].mate;
  capacity_[at(there)] = arcs_[at(there)].residual = forward;
  capacity_[at(back)] = arcs_[at(back)].residual = backward;
}

template <typename Capacity>
Capacity FlowNetwork<Capacity>::maxFlow(int32_t source, int32_t sink, Capacity enough) {
  reset();
  Capacity flow = 0;
  while (flow < enough && label(source, sink)) flow += push(source, sink, enough - flow);
  return flow;
}

template <typename Capacity>
void FlowNetwork<Capacity>::reset() {
  for (const int32_t arc : touched_) {
    const int32_t mate = arcs_[at(arc)].mate;
    arcs_[at(arc)].residual = capacity_[at(arc)];
    arcs_[at(mate)].residual = capacity_[at(mate)];
    isTouched_[at(arc)] = 0;
  }
  touched_.clear();
}

// Distances to the sink, up to the source's. False if no way is left.
template <typename Capacity>
bool FlowNetwork<Capacity>::label(int32_t source, int32_t sink) {
  for (const int32_t node : reached_) distance_[at(node)] = -1;
  reached_.assign(1, sink);
  distance_[at(sink)] = 0;
  for (size_t next = 0; next < reached_.size(); ++next) {
    const int32_t node = reached_[next];
    for (int32_t i = first_[at(node)]; i < first_[at(node) + 1]; ++i) {
      const Arc& arc = arcs_[at(i)];
      if (distance_[at(arc.to)] >= 0 || arcs_[at(arc.mate)].residual == 0) continue;
      distance_[at(arc.to)] = distance_[at(node)] + 1;
      current_[at(arc.to)] = first_[at(arc.to)];
      reached_.push_back(arc.to);
      // All that are nearer have their distance by now; the others are on no shortest way.
      if (arc.to == source) return true;
    }
  }
  return false;
}

// An arc of `node` that leads nearer to the sink, or -1.
template <typename Capacity>
int32_t FlowNetwork<Capacity>::admissible(int32_t node) {
  const int32_t nearer = distance_[at(node)] - 1;
  const int32_t end = first_[at(node) + 1];
  for (int32_t& i = current_[at(node)]; i < end; ++i) {
    if (arcs_[at(i)].residual > 0 && distance_[at(arcs_[at(i)].to)] == nearer) return i;
  }
  return -1;
}

// As much as the shortest ways take.
template <typename Capacity>
Capacity FlowNetwork<Capacity>::push(int32_t source, int32_t sink, Capacity most) {
  Capacity flow = 0;
  int32_t node = source;
  path_.clear();
  while (true) {
    if (node == sink) {
      flow += augment(most - flow);
      if (flow == most) return flow;
    } else if (const int32_t arc = admissible(node); arc >= 0) {
      path_.push_back(arc);
    } else if (node == source) {
      return flow;
    } else {
      distance_[at(node)] = -2;
      path_.pop_back();
    }
    node = path_.empty() ? source : arcs_[at(path_.back())].to;
  }
}

// Fills the path and shortens it to where it is full first.
template <typename Capacity>
Capacity FlowNetwork<Capacity>::augment(Capacity most) {
  for (const int32_t i : path_) most = std::min(most, arcs_[at(i)].residual);
  size_t full = path_.size();
  for (size_t k = path_.size(); k-- > 0;) {
    const int32_t i = path_[k];
    Arc& arc = arcs_[at(i)];
    arc.residual -= most;
    arcs_[at(arc.mate)].residual += most;
    if (arc.residual == 0) full = k;
    const int32_t lower = std::min(i, arc.mate);
    if (isTouched_[at(lower)] == 0) {
      isTouched_[at(lower)] = 1;
      touched_.push_back(lower);
    }
  }
  path_.resize(full);
  return most;
}

template class FlowNetwork<int64_t>;
template class FlowNetwork<Int128>;

}  // namespace tutti::plan
