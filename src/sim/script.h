// Script: the Schedules of all ranks made ready to be simulated. Blocks have become lengths, FIFOs
// connections with a path and a latency. Private to this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"
#include "src/schedule/layout.h"
#include "src/sim/flow_network.h"
#include "src/sim/simulate.h"

namespace tutti::sim {

// What must be there before a step starts.
enum class NeedKind : uint8_t {
  kStep,     // step `number` of lane `at` has run in this iteration
  kPost,     // post `at` was made, and has come over way `number`
  kMessage,  // the next message of connection `at`, which the step takes
  kSlot,     // a free slot of connection `at`, on which the step sends over way `number`
};

struct Need {
  NeedKind kind = NeedKind::kStep;
  int32_t at = 0;
  int32_t number = 0;
};

// Memory of another rank that a step reads or writes: the bytes of the step over a path.
struct Access {
  PathIndex path = 0;
  Time delay = 0;
};

// Where the length of what a step moves comes from.
enum class Length : uint8_t { kBlocks, kMessage, kPost };

struct ScriptStep {
  uint32_t needBegin = 0;  // into Script::needs
  uint32_t needEnd = 0;
  uint32_t accessBegin = 0;  // into Script::accesses
  uint32_t accessEnd = 0;
  uint32_t lengthBegin = 0;  // into Script::lengths
  uint32_t lengthEnd = 0;
  uint64_t chunkBytes = 0;  // of a block in one iteration; 0: all of it
  int32_t post = -1;        // that the step makes
  uint16_t copied = 0;      // times the rank's copy engine moves the step's bytes
  uint16_t combined = 0;    // times its reduce engine takes them
  Length length = Length::kBlocks;
};

struct ScriptLane {
  ir::Rank rank = 0;
  int32_t index = 0;  // in its Schedule
  uint32_t stepBegin = 0;
  uint32_t stepEnd = 0;
  uint64_t iterations = 1;
};

// One direction of one channel of a pair.
struct Connection {
  ir::Rank from = 0;
  ir::Rank to = 0;
  int32_t channel = 0;
  int32_t sender = -1;  // lanes; -1: none
  int32_t receiver = -1;
};

// The links that a message takes, and what it costs beside its bytes.
struct Way {
  PathIndex path = 0;
  Time messageTime = 0;  // to prepare a message
  Time latency = 0;
};

struct Script {
  std::vector<ScriptLane> lanes;  // rank by rank
  std::vector<ScriptStep> steps;
  std::vector<Need> needs;
  std::vector<Access> accesses;
  std::vector<uint64_t> lengths;  // bytes of whole blocks
  std::vector<Connection> connections;
  std::vector<Way> ways;
  int32_t postsPerRank = 0;  // post p of rank r is number r * postsPerRank + p

  // Bytes of `step` in one iteration, where its blocks say them.
  uint64_t bytesOf(const ScriptStep& step, uint64_t iteration) const;
};

// The greatest numbers that a Schedule may have here; Limits does not count.
inline constexpr int kMostChannels = 1 << 16;
inline constexpr int kMostPosts = 1 << 8;

// Is this what can be simulated: as many schedules as ranks, options in range, and all that a
// Schedule counts by within its bounds? Whether it is right is not asked.
base::Status checkQuestion(const topology::Topology& topology,
                           const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                           const Options& options);
base::Status checkHeads(const std::vector<ir::Schedule>& schedules, const ir::Call& call);
// `layouts` of all ranks. The text says what is wrong with the step; empty: nothing.
std::string faultOfStep(const ir::Schedule& schedule, const ir::Lane& lane, const ir::Step& step,
                        const std::vector<schedule::Layout>& layouts);

// Adds the paths that are used to `network`. Fails as simulate does.
base::Result<Script> writeScript(const topology::Topology& topology,
                                 const std::vector<ir::Schedule>& schedules, const ir::Call& call,
                                 const Options& options, FlowNetwork& network);

}  // namespace tutti::sim
