// Program: a Schedule made ready to run for one count and type. Blocks have become byte ranges;
// what is left for run time are the addresses of the user's buffers and of peers'.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/schedule.h"

namespace tutti::executor {

// A byte range of a buffer, before it is cut into chunks.
struct Piece {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct FlatOperand {
  ir::Space space = ir::Space::kInput;
  uint8_t channel = 0;    // kFifo
  bool isCut = false;     // kFifo: of channel 0 or narrow, whose slots schedules cut differently
  bool isPeer = false;    // kInput, kOutput: of another rank
  bool isScaled = false;  // a contribution: multiplied by its rank's factor where there is one
  ir::Rank rank = 0;
  uint32_t post = 0;        // kBoard
  int32_t part = -1;        // kBoard: which block of the post, -1: all of it
  uint32_t pieceBegin = 0;  // into Program::pieces; kFifo and kBoard have none
  uint32_t pieceCount = 0;
  uint32_t slotOffset = 0;  // kFifo: where a narrow channel begins in a slot
  uint64_t offset = 0;      // of the first piece, for simple steps
};

struct FlatStep {
  ir::StepKind kind = ir::StepKind::kMove;
  bool isFinal = false;
  bool hasMessage = false;  // some operand is a FIFO or the board
  bool hasPeer = false;     // some operand is a peer's buffer
  bool isSimple = false;    // one short range per operand, the same in every iteration
  uint16_t sourceCount = 0;
  uint16_t destinationCount = 0;
  uint32_t operandBegin = 0;  // sources, then destinations
  uint32_t post = 0;
  uint32_t peerBegin = 0;  // into Program::peers
  uint32_t peerCount = 0;
  int32_t lengthOperand = -1;  // the operand whose pieces give the length; -1: an empty message
  uint64_t bytes = 0;          // the length of a simple step
  uint64_t chunkBytes = 0;     // 0: one iteration, whole blocks
  int32_t afterLane = -1;
  int32_t afterStep = 0;
};

struct FlatLane {
  uint32_t stepBegin = 0;
  uint32_t stepCount = 0;
  uint32_t iterations = 1;
};

// Which buffers of a rank others touch in place.
struct PeerAccess {
  bool input = false;
  bool output = false;
  uint64_t inputBytes = 0;  // extent of the peer's buffer
  uint64_t outputBytes = 0;
};

struct Program {
  ir::Call call;
  std::string algorithm;
  bool needsPeerMemory = false;
  bool acceptsKernelCopy = false;
  bool isCollective = true;  // all ranks take part; false for send and recv
  uint64_t signature = 0;
  ir::RedOp kernelOp = ir::RedOp::kSum;  // kSum, kProd, kMax or kMin
  uint64_t divisor = 0;                  // integer average
  uint64_t slotCut = 0;                  // how the slots of channel 0 are cut; 0: whole
  bool isAttaching = false;              // this rank looks at what buffers others posted
  bool isExposing = false;               // this rank posts its own ...
  bool exposesInput = false;             // ... and which of them peers touch
  bool exposesOutput = false;
  uint64_t inputBytes = 0;  // extent of the user's buffers as far as this rank uses them
  uint64_t outputBytes = 0;
  uint64_t scratchBytes = 0;
  bool isStreaming = false;  // results are larger than the caches
  std::vector<FlatLane> lanes;
  std::vector<FlatStep> steps;
  std::vector<FlatOperand> operands;
  std::vector<Piece> pieces;
  std::vector<ir::Rank> peers;
  std::vector<PeerAccess> access;  // by rank, this one included; the same on every rank

  const PeerAccess& accessTo(ir::Rank rank) const { return access[static_cast<size_t>(rank)]; }
};

// The V forms' counts and displacements, in elements; empty for the others. `displs` as given by
// the caller or packed.
struct BlockTable {
  std::vector<uint64_t> counts;
  std::vector<uint64_t> displs;
};

// A collective that moves nothing itself, and is done as soon as its turn comes: one of no
// elements, or one of messages, which follow it. It takes its place in the order of calls all the
// same, so that ranks that disagree notice.
Program placeholder(const ir::Call& call);

// Fails only where the schedule breaks ir::Limits or the table has the wrong length.
base::Result<Program> compile(const ir::Schedule& schedule, const ir::Call& call,
                              const BlockTable& table, uint64_t streamingBytes);

}  // namespace tutti::executor
