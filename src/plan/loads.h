// What each algorithm asks of its busiest rank. Private to this room.
#pragma once

#include "src/plan/algorithms.h"

namespace tutti::plan {

Load allReduceOneShot(const Extent& e);
Load allReduceDirect(const Extent& e);
Load allReduceTwoShot(const Extent& e);
Load allReduceRecursiveDoubling(const Extent& e);
Load allReduceHalvingDoubling(const Extent& e);
Load allReduceRing(const Extent& e);
Load allReduceDoubleTree(const Extent& e);

Load reduceOneShot(const Extent& e);
Load reduceDirect(const Extent& e);
Load reduceTwoShot(const Extent& e);
Load reduceTree(const Extent& e);
Load reduceDoubleTree(const Extent& e);
Load reduceChain(const Extent& e);

Load broadcastOneShot(const Extent& e);
Load broadcastDirect(const Extent& e);
Load broadcastChain(const Extent& e);
Load broadcastTree(const Extent& e);
Load broadcastDoubleTree(const Extent& e);
Load broadcastScatterAllGather(const Extent& e);

Load allGatherOneShot(const Extent& e);
Load allGatherDirect(const Extent& e);
Load allGatherExchange(const Extent& e);
Load allGatherRing(const Extent& e);
Load allGatherBruck(const Extent& e);
Load allGatherRecursiveDoubling(const Extent& e);

Load reduceScatterOneShot(const Extent& e);
Load reduceScatterDirect(const Extent& e);
Load reduceScatterExchange(const Extent& e);
Load reduceScatterRing(const Extent& e);
Load reduceScatterHalving(const Extent& e);

Load allToAllOneShot(const Extent& e);
Load allToAllDirect(const Extent& e);
Load allToAllExchange(const Extent& e);
Load allToAllBruck(const Extent& e);

Load gatherOneShot(const Extent& e);
Load gatherDirect(const Extent& e);
Load gatherExchange(const Extent& e);
Load gatherBinomial(const Extent& e);

Load scatterOneShot(const Extent& e);

Load pairFifo(const Extent& e);

}  // namespace tutti::plan
