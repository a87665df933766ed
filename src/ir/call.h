// Call: what a user asked for, without the addresses. Plans and Schedules depend on nothing else
// (and on the World), so every rank computes the same ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/ir/types.h"

namespace tutti::ir {

struct Call {
  Collective collective = Collective::kAllReduce;
  DataType type = DataType::kFloat32;
  RedOp op = RedOp::kSum;  // meaningful where isReducing(collective)
  // Elements, as the API function counts them: the whole vector for all_reduce, reduce, broadcast,
  // send and recv; one rank's block for all_gather, reduce_scatter, all_to_all, gather, scatter;
  // for the V forms the sum of `counts`, but 0 where isOfMessages(collective).
  uint64_t count = 0;
  Rank root = 0;  // the root, or the peer of kSend and kRecv

  bool operator==(const Call&) const = default;
};

// Bytes that decide the choice of an algorithm: the whole vector for all_reduce, reduce and
// broadcast; all blocks of one rank's larger buffer for the others.
uint64_t planBytes(const Call& call, int size);

// 64 bits that differ for calls that do not match each other. Ranks compare them before they use
// each other's data. root counts only where hasRoot(); a kSend and the kRecv it meets agree.
uint64_t signature(const Call& call);

// "all_reduce of 1024 float, sum", "broadcast of 7 int8 from rank 3": for people.
std::string toString(const Call& call);

}  // namespace tutti::ir
