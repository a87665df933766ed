// The templates: each adds the lanes of one rank (of two or more) to a Schedule whose head is
// filled in. Private to this room; lower.cc has the table. How each works is said where it is
// defined.
#pragma once

#include "src/ir/schedule.h"
#include "src/schedule/steps.h"

namespace tutti::schedule {

using Template = void (*)(const Shape&, ir::Schedule&);

void allReduceOneShot(const Shape& shape, ir::Schedule& schedule);
void allReduceDirect(const Shape& shape, ir::Schedule& schedule);
void allReduceTwoShot(const Shape& shape, ir::Schedule& schedule);
void allReduceRecursiveDoubling(const Shape& shape, ir::Schedule& schedule);
void allReduceHalvingDoubling(const Shape& shape, ir::Schedule& schedule);
void allReduceRing(const Shape& shape, ir::Schedule& schedule);
void allReduceDoubleTree(const Shape& shape, ir::Schedule& schedule);
void allReduceTrees(const Shape& shape, ir::Schedule& schedule);

void reduceOneShot(const Shape& shape, ir::Schedule& schedule);
void reduceDirect(const Shape& shape, ir::Schedule& schedule);
void reduceTwoShot(const Shape& shape, ir::Schedule& schedule);
void reduceTree(const Shape& shape, ir::Schedule& schedule);
void reduceDoubleTree(const Shape& shape, ir::Schedule& schedule);
void reduceChain(const Shape& shape, ir::Schedule& schedule);
void reduceTrees(const Shape& shape, ir::Schedule& schedule);

void broadcastOneShot(const Shape& shape, ir::Schedule& schedule);
void broadcastDirect(const Shape& shape, ir::Schedule& schedule);
void broadcastChain(const Shape& shape, ir::Schedule& schedule);
void broadcastTree(const Shape& shape, ir::Schedule& schedule);
void broadcastDoubleTree(const Shape& shape, ir::Schedule& schedule);
void broadcastScatterAllGather(const Shape& shape, ir::Schedule& schedule);
void broadcastTrees(const Shape& shape, ir::Schedule& schedule);

void allGatherOneShot(const Shape& shape, ir::Schedule& schedule);
void allGatherDirect(const Shape& shape, ir::Schedule& schedule);
void allGatherExchange(const Shape& shape, ir::Schedule& schedule);
void allGatherRing(const Shape& shape, ir::Schedule& schedule);
void allGatherBruck(const Shape& shape, ir::Schedule& schedule);
void allGatherRecursiveDoubling(const Shape& shape, ir::Schedule& schedule);
void allGatherPat(const Shape& shape, ir::Schedule& schedule);
void allGatherForest(const Shape& shape, ir::Schedule& schedule);

void reduceScatterOneShot(const Shape& shape, ir::Schedule& schedule);
void reduceScatterDirect(const Shape& shape, ir::Schedule& schedule);
void reduceScatterExchange(const Shape& shape, ir::Schedule& schedule);
void reduceScatterRing(const Shape& shape, ir::Schedule& schedule);
void reduceScatterHalving(const Shape& shape, ir::Schedule& schedule);
void reduceScatterPat(const Shape& shape, ir::Schedule& schedule);
void reduceScatterForest(const Shape& shape, ir::Schedule& schedule);

void allToAllOneShot(const Shape& shape, ir::Schedule& schedule);
void allToAllDirect(const Shape& shape, ir::Schedule& schedule);
void allToAllExchange(const Shape& shape, ir::Schedule& schedule);
void allToAllBruck(const Shape& shape, ir::Schedule& schedule);

void gatherOneShot(const Shape& shape, ir::Schedule& schedule);
void gatherDirect(const Shape& shape, ir::Schedule& schedule);
void gatherExchange(const Shape& shape, ir::Schedule& schedule);
void gatherBinomial(const Shape& shape, ir::Schedule& schedule);

void scatterOneShot(const Shape& shape, ir::Schedule& schedule);
void scatterDirect(const Shape& shape, ir::Schedule& schedule);
void scatterExchange(const Shape& shape, ir::Schedule& schedule);
void scatterBinomial(const Shape& shape, ir::Schedule& schedule);

void sendFifo(const Shape& shape, ir::Schedule& schedule);
void recvFifo(const Shape& shape, ir::Schedule& schedule);

}  // namespace tutti::schedule
