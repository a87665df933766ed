// Flows that prove that trees can still be packed: what splitting off and arborescences stand on.
// Private to this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tutti::plan {

// A graph with whole capacities, some of whose nodes are ranks (0 .. ranks-1), and units at ranks.
// Wanted are out-trees: as many from each rank as it has units, with no more trees on an arc than
// its capacity. By Edmonds' theorem they exist if for each rank v there is a flow that brings all
// units of all ranks to v; this class keeps such a flow for every v, as a residual
// network, and takes from the graph only what leaves all of them whole. A change touches few of the
// flows, and those are mended by short searches over bit sets: much less than to find them anew.
class SpanningFlows {
 public:
  // `supply` has the units of each rank. Nodes from there on, up to nodes - 1, forward only.
  SpanningFlows(std::vector<int32_t> supply, int nodes);

  void addCapacity(int from, int to, int32_t units);  // before start
  int32_t capacity(int from, int to) const { return capacity_[at(from, to)]; }
  // Finds the flows. False: there are none, trees cannot be packed; this is then of no further use.
  bool start();

  // Takes away as much capacity as possible, at most `most`. Returns how much.
  int32_t remove(int from, int to, int32_t most);
  // Replaces as many units as possible, at most `most`, of from -> via -> to, where via forwards,
  // by units of from -> to (of none where from == to). Returns how many.
  int32_t split(int from, int via, int to, int32_t most);

  // The trees: a batch is a set of equal partial trees and has a forwarder's number that has no
  // capacity left. It starts as units of a rank that are in no batch yet.
  void open(int batch, int root, int32_t units);
  // Lets as many trees of the batch as possible use from -> to; `from` is in them, `to` is not.
  // Returns how many; where these are neither none nor all, the others become the batch `rest`.
  int32_t extend(int batch, int rest, int from, int to);
  // The batch's trees have all ranks.
  void close(int batch);

  int64_t work() const { return work_; }  // nodes looked at

 private:
  struct Batch {
    int32_t units = 0;
    std::vector<int> ranks;
  };

  size_t at(int from, int to) const {
    return static_cast<size_t>(from) * static_cast<size_t>(nodes_) + static_cast<size_t>(to);
  }
  size_t at(int flow, int from, int to) const {
    return static_cast<size_t>(flow) * capacity_.size() + at(from, to);
  }
  int32_t residual(int flow, int from, int to) const { return residual_[at(flow, from, to)]; }
  void change(int flow, int from, int to, int32_t by);
  void send(int flow, int from, int to, int32_t units);
  int32_t push(int flow, int from, int to, int32_t units);
  bool findPath(int flow, int from, int to);
  int32_t detour(int flow, int from, int to);
  int32_t tryExtend(int batch, int from, int to, int32_t wanted);
  int32_t takeSplit(int flow, int from, int via, int to, int32_t units);
  void giveBack(int flow, int from, int via, int to, int32_t units);

  int ranks_;
  int nodes_;
  std::vector<int32_t> supply_;
  size_t words_;
  int64_t work_ = 0;
  std::vector<int32_t> capacity_;
  std::vector<int32_t> residual_;  // by flow, from, to
  std::vector<uint64_t> open_;     // by flow and node: to which nodes there is a residual
  std::vector<Batch> batches_;     // by node
  // The changes of a trial, to be taken back.
  struct Change {
    int from;
    int to;
    int32_t by;
  };
  bool isTrial_ = false;
  std::vector<Change> tried_;
  // Of the search:
  std::vector<uint64_t> seen_;
  std::vector<int> queue_;
  std::vector<int> before_;
};

}  // namespace tutti::plan
