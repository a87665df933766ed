#include "src/plan/algorithms.h"

#include <algorithm>

#include "src/plan/loads.h"

namespace tutti::plan {
namespace {

using ir::Collective;

int itself(int size) { return size; }
int allButOne(int size) { return size - 1; }
int two(int) { return 2; }
int half(int size) { return (size + 1) / 2; }
int largestPower(int size) {
  int power = 1;
  while (power * 2 <= size) power *= 2;
  return power;
}
int halfOfLargestPower(int size) { return largestPower(size) / 2; }
int bruckScratch(int size) {
  int blocks = size / 2 + 1;
  for (int bit = 1; bit < size; bit *= 2) {
    for (int distance = bit; distance < size; ++distance) blocks += (distance & bit) != 0 ? 1 : 0;
  }
  return blocks;
}

constexpr Algorithm kTable[] = {
    {Collective::kAllReduce, "one_shot", Way::kBoardOrFifo, allReduceOneShot},
    {Collective::kAllReduce, "direct", Way::kPeerMemory, allReduceDirect},
    {Collective::kAllReduce, "two_shot", Way::kFifo, allReduceTwoShot, itself},
    {Collective::kAllReduce, "recursive_doubling", Way::kFifo, allReduceRecursiveDoubling},
    {Collective::kAllReduce, "halving_doubling", Way::kFifo, allReduceHalvingDoubling, largestPower,
     halfOfLargestPower},
    {Collective::kAllReduce, "ring", Way::kFifo, allReduceRing, itself},
    {Collective::kAllReduce, "double_tree", Way::kFifo, allReduceDoubleTree, two},
    {Collective::kAllReduce, "trees", Way::kFifo, allReduceDoubleTree, nullptr, nullptr, nullptr,
     false, true},
    {Collective::kReduce, "one_shot", Way::kBoardOrFifo, reduceOneShot},
    {Collective::kReduce, "direct", Way::kPeerMemory, reduceDirect},
    {Collective::kReduce, "two_shot", Way::kFifo, reduceTwoShot, itself},
    {Collective::kReduce, "tree", Way::kFifo, reduceTree},
    {Collective::kReduce, "double_tree", Way::kFifo, reduceDoubleTree, two},
    {Collective::kReduce, "chain", Way::kFifo, reduceChain},
    {Collective::kReduce, "trees", Way::kFifo, reduceDoubleTree, nullptr, nullptr, nullptr, false,
     true},
    {Collective::kBroadcast, "one_shot", Way::kBoardOrFifo, broadcastOneShot},
    {Collective::kBroadcast, "direct", Way::kPeerMemory, broadcastDirect},
    {Collective::kBroadcast, "chain", Way::kFifo, broadcastChain},
    {Collective::kBroadcast, "tree", Way::kFifo, broadcastTree},
    {Collective::kBroadcast, "double_tree", Way::kFifo, broadcastDoubleTree, two},
    {Collective::kBroadcast, "scatter_all_gather", Way::kFifo, broadcastScatterAllGather,
     allButOne},
    {Collective::kBroadcast, "trees", Way::kFifo, broadcastDoubleTree, nullptr, nullptr, nullptr,
     false, true},
    {Collective::kAllGather, "one_shot", Way::kBoard, allGatherOneShot},
    {Collective::kAllGather, "direct", Way::kPeerMemory, allGatherDirect},
    {Collective::kAllGather, "exchange", Way::kFifo, allGatherExchange},
    {Collective::kAllGather, "ring", Way::kFifo, allGatherRing},
    {Collective::kAllGather, "bruck", Way::kFifo, allGatherBruck, nullptr, half},
    {Collective::kAllGather, "recursive_doubling", Way::kFifo, allGatherRecursiveDoubling, nullptr,
     half, nullptr, true},
    // Among equal links (8 ranks and fewer of one host) the ring was up to 16 % faster, whatever
    // the length; of reduce_scatter, pat was the fastest that sends messages up to 64 KiB.
    {Collective::kAllGather, "pat", Way::kFifo, allGatherPat, nullptr, nullptr, nullptr, false,
     true, true},
    {Collective::kAllGather, "forest", Way::kFifo, allGatherRing, nullptr, nullptr, nullptr, false,
     true},
    {Collective::kReduceScatter, "one_shot", Way::kBoard, reduceScatterOneShot},
    {Collective::kReduceScatter, "direct", Way::kPeerMemory, reduceScatterDirect},
    {Collective::kReduceScatter, "exchange", Way::kFifo, reduceScatterExchange},
    {Collective::kReduceScatter, "ring", Way::kFifo, reduceScatterRing},
    {Collective::kReduceScatter, "halving", Way::kFifo, reduceScatterHalving, nullptr, half,
     itself},
    {Collective::kReduceScatter, "pat", Way::kFifo, reduceScatterPat, nullptr, nullptr, nullptr,
     false, false, true},
    {Collective::kReduceScatter, "forest", Way::kFifo, reduceScatterRing, nullptr, nullptr, nullptr,
     false, true},
    {Collective::kAllToAll, "one_shot", Way::kBoard, allToAllOneShot},
    {Collective::kAllToAll, "direct", Way::kPeerMemory, allToAllDirect},
    {Collective::kAllToAll, "exchange", Way::kFifo, allToAllExchange},
    {Collective::kAllToAll, "bruck", Way::kFifo, allToAllBruck, nullptr, half, bruckScratch},
    {Collective::kGather, "one_shot", Way::kBoard, gatherOneShot},
    {Collective::kGather, "direct", Way::kPeerMemory, gatherDirect},
    {Collective::kGather, "exchange", Way::kFifo, gatherExchange},
    {Collective::kGather, "binomial", Way::kFifo, gatherBinomial, nullptr, half, half},
    {Collective::kScatter, "one_shot", Way::kBoard, scatterOneShot},
    {Collective::kScatter, "direct", Way::kPeerMemory, gatherDirect},
    {Collective::kScatter, "exchange", Way::kFifo, gatherExchange},
    {Collective::kScatter, "binomial", Way::kFifo, gatherBinomial, nullptr, half, half},
    {Collective::kAllGatherV, "direct", Way::kPeerMemory, allGatherDirect},
    {Collective::kAllGatherV, "exchange", Way::kFifo, allGatherExchange},
    {Collective::kAllGatherV, "ring", Way::kFifo, allGatherRing},
    {Collective::kAllGatherV, "pat", Way::kFifo, allGatherVPat, nullptr, nullptr, nullptr, false,
     true},
    {Collective::kAllGatherV, "forest", Way::kFifo, allGatherRing, nullptr, nullptr, nullptr, false,
     true},
    // Displacements may differ between ranks, so a peer's input blocks can not be found in place.
    {Collective::kReduceScatterV, "exchange", Way::kFifo, reduceScatterExchange},
    {Collective::kReduceScatterV, "pat", Way::kFifo, reduceScatterVPat},
    {Collective::kReduceScatterV, "forest", Way::kFifo, reduceScatterRing, nullptr, nullptr,
     nullptr, false, true},
    {Collective::kSend, "fifo", Way::kFifo, pairFifo},
    {Collective::kRecv, "fifo", Way::kFifo, pairFifo},
};

}  // namespace

std::span<const Algorithm> algorithms() { return kTable; }

RankLoad overFifos(const Algorithm& algorithm, const Extent& extent) {
  RankLoad load = algorithm.load(extent);
  const double others = (extent.n - 1) * extent.bytes;
  load.ends = 2 * (extent.n - 1);
  load.copied = std::max(load.copied, (extent.n + 1) / 2 * extent.bytes);
  if (algorithm.collective == Collective::kReduce) load.copied = extent.bytes;
  load.staged = 2 * others;
  load.traffic = 2 * extent.bytes;
  load.wire = others;
  load.depth = 2;
  load.inFlight = extent.n - 1;
  return load;
}

RankLoad byKernelCopies(const Algorithm& algorithm, const Extent& extent) {
  const RankLoad mapped = algorithm.load(extent);
  RankLoad load = mapped;
  const double others = (extent.n - 1) * extent.bytes;
  switch (algorithm.collective) {
    // Blocks are read, combined, and the result is written to the others.
    case Collective::kAllReduce:
      load.peerCopied = 2 * others / extent.n;
      load.peerCalls = 2 * (extent.n - 1);
      load.copied = 0;
      break;
    case Collective::kReduce:
      load.peerCopied = (others + extent.bytes) / extent.n;
      load.peerCalls = extent.n;
      break;
    case Collective::kReduceScatter:
      load.peerCopied = others;
      load.peerCalls = extent.n - 1;
      break;
    // A rank's own block is copied as before.
    case Collective::kAllGather:
    case Collective::kAllGatherV:
    case Collective::kAllToAll:
      load.peerCopied = others;
      load.peerCalls = extent.n - 1;
      load.copied = extent.bytes;
      break;
    default:
      load.peerCopied = mapped.copied;
      load.peerCalls = 1;
      load.copied = 0;
      break;
  }
  return load;
}

uint64_t postBytes(const ir::Call& call, int size) {
  const uint64_t bytes = call.count * ir::sizeOf(call.type);
  switch (call.collective) {
    case Collective::kReduceScatter:
    case Collective::kAllToAll:
    case Collective::kScatter: return bytes * static_cast<uint64_t>(size);
    default: return bytes;
  }
}

}  // namespace tutti::plan
