// The MSCCL XML format: one algorithm of all ranks ("gpus"), as thread blocks of steps that send to
// one peer and receive from one. Others' algorithms come in as Schedules, and ours can be looked at
// and run by what reads the format (Microsoft's msccl and msccl-tools, RCCL).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/schedule.h"

namespace tutti::schedule {

struct MscclAlgorithm {
  std::string name;
  uint64_t minBytes = 0;            // of the larger buffer: for what sizes it was made
  uint64_t maxBytes = 0;            // 0: no bound
  bool isInPlaceSafe = false;       // outputs may be inputs
  std::vector<ir::Schedule> ranks;  // proved by the validator
};

// Reads allreduce, allgather, reducescatter, alltoall, and broadcast and reduce from the rank that
// an attribute `root` names (the format has none; without it, 0). `file` is what errors name.
//
// A thread block becomes a lane; those that share scratch memory become one, since a lane owns its
// scratch, in an order in which all of them come to an end. Where the file writes to its input the
// Schedule writes to its output or to scratch. Protocols and numbers of chunks per loop have no
// counterpart: chunks are as long as slots allow.
//
// Fails with an invalid argument that names file and line where the text is no XML, says what
// cannot be, waits for ever, or computes something else than its collective.
base::Result<MscclAlgorithm> readMscclXml(std::string_view text, std::string_view file);

// The same from a file; one that cannot be read is an invalid argument too.
base::Result<MscclAlgorithm> readMscclFile(const std::string& path);

// The Schedules of all ranks, in order, as XML that readMscclXml reads back. Weights become numbers
// of chunks; lanes that receive from or send to several peers become several thread blocks that
// wait for each other. Rounding differs where a step combines more than two operands: here they are
// combined one by one.
//
// Fails (unsupported) where the format has no words for it: other collectives, posts, peers'
// memory, runs of blocks of which only some slices are meant, more than 4,096 chunks.
base::Result<std::string> writeMscclXml(std::span<const ir::Schedule> ranks, std::string_view name);

}  // namespace tutti::schedule
