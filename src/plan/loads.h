// What each algorithm asks of its busiest rank. Private to this room.
#pragma once

#include "src/plan/algorithms.h"

namespace tutti::plan {

RankLoad allReduceOneShot(const Extent& e);
RankLoad allReduceDirect(const Extent& e);
RankLoad allReduceTwoShot(const Extent& e);
RankLoad allReduceRecursiveDoubling(const Extent& e);
RankLoad allReduceHalvingDoubling(const Extent& e);
RankLoad allReduceRing(const Extent& e);
RankLoad allReduceDoubleTree(const Extent& e);

RankLoad reduceOneShot(const Extent& e);
RankLoad reduceDirect(const Extent& e);
RankLoad reduceTwoShot(const Extent& e);
RankLoad reduceTree(const Extent& e);
RankLoad reduceDoubleTree(const Extent& e);
RankLoad reduceChain(const Extent& e);

RankLoad broadcastOneShot(const Extent& e);
RankLoad broadcastDirect(const Extent& e);
RankLoad broadcastChain(const Extent& e);
RankLoad broadcastTree(const Extent& e);
RankLoad broadcastDoubleTree(const Extent& e);
RankLoad broadcastScatterAllGather(const Extent& e);

RankLoad allGatherOneShot(const Extent& e);
RankLoad allGatherDirect(const Extent& e);
RankLoad allGatherExchange(const Extent& e);
RankLoad allGatherRing(const Extent& e);
RankLoad allGatherBruck(const Extent& e);
RankLoad allGatherRecursiveDoubling(const Extent& e);
RankLoad allGatherPat(const Extent& e);
RankLoad allGatherVPat(const Extent& e);

RankLoad reduceScatterOneShot(const Extent& e);
RankLoad reduceScatterDirect(const Extent& e);
RankLoad reduceScatterExchange(const Extent& e);
RankLoad reduceScatterRing(const Extent& e);
RankLoad reduceScatterHalving(const Extent& e);
RankLoad reduceScatterPat(const Extent& e);
RankLoad reduceScatterVPat(const Extent& e);

RankLoad allToAllOneShot(const Extent& e);
RankLoad allToAllDirect(const Extent& e);
RankLoad allToAllExchange(const Extent& e);
RankLoad allToAllBruck(const Extent& e);

RankLoad gatherOneShot(const Extent& e);
RankLoad gatherDirect(const Extent& e);
RankLoad gatherExchange(const Extent& e);
RankLoad gatherBinomial(const Extent& e);

RankLoad scatterOneShot(const Extent& e);

RankLoad pairFifo(const Extent& e);

}  // namespace tutti::plan
