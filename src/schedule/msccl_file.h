// What an MSCCL XML file says, element by element. Private to this room.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "src/ir/types.h"

namespace tutti::schedule {

enum class MscclBuffer : uint8_t { kInput, kOutput, kScratch };

struct MscclStep {
  std::string type;  // one of those in mscclWords
  MscclBuffer sourceBuffer = MscclBuffer::kInput;
  MscclBuffer targetBuffer = MscclBuffer::kOutput;
  int source = -1;  // first chunk
  int target = -1;
  int count = 0;        // chunks
  int afterBlock = -1;  // thread block and step that come before; -1: none
  int afterStep = -1;
  bool isAwaited = false;  // some step waits for this one
  int line = 0;
};

// What the steps of a type do. The result of a step is what it received, combined with its source
// or not, or its source.
struct MscclWords {
  std::string_view type;
  bool receives = false;
  bool usesSource = false;
  bool usesTarget = false;  // stores the result there; "re" combines it with what is there
  bool sends = false;
};
// Null for a type that is none.
const MscclWords* mscclWords(std::string_view type);

struct MscclBlock {  // a thread block
  int id = 0;
  int sendPeer = -1;
  int receivePeer = -1;
  int channel = 0;
  std::vector<MscclStep> steps;
  int line = 0;
};

struct MscclRank {
  std::array<int, 3> chunks = {};  // by MscclBuffer
  std::vector<MscclBlock> blocks;  // by id
  int line = 0;
};

struct MscclFile {
  std::string name;
  ir::Collective collective = ir::Collective::kAllReduce;
  ir::Rank root = 0;
  int chunks = 1;  // of the larger buffer
  int channels = 1;
  bool isForInPlace = true;
  bool isForOutOfPlace = true;
  uint64_t minBytes = 0;
  uint64_t maxBytes = 0;
  std::vector<MscclRank> ranks;
};

// Where the chunks of a collective are. A vector's chunks are its blocks; of the others, each block
// has `slices` chunks.
struct MscclPlaces {
  explicit MscclPlaces(const MscclFile& file);

  // Chunks of the buffer at `rank` (not scratch); 0 where it has none.
  int chunks(MscclBuffer buffer, ir::Rank rank) const;
  // Block and slice of a chunk as the Schedule sees them.
  int blockOf(MscclBuffer buffer, int chunk) const;
  int sliceOf(int chunk) const { return isVector ? 0 : chunk % slices; }
  // The chunk of the output that is the same memory as this one of the input where rank is in
  // place; -1: none.
  int outputAt(ir::Rank rank, int inputChunk) const;

  ir::Collective collective;
  ir::Rank root;
  int size;
  bool isVector;
  int slices;  // 1 for a vector
  int all;     // chunks of the larger buffer
};

// Checks what can be seen in one element: names, numbers, ranges, peers, steps that exist.
base::Result<MscclFile> parseMscclFile(std::string_view text, std::string_view file);
std::string toXml(const MscclFile& file);

}  // namespace tutti::schedule
