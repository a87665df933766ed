// Runs an MSCCL file once, on memory that knows what each chunk holds, and writes down every step
// as it happens. So it is known which reads of a buffer find the input and which a result, which
// combination is the last, and an order in which everything comes to an end with the FIFOs that
// there are. Private to this room.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "src/base/status.h"
#include "src/ir/schedule.h"
#include "src/schedule/msccl_file.h"
#include "src/schedule/steps.h"

namespace tutti::schedule {

// Which block of the collective a chunk belongs to, which slice of it, and whose contributions.
struct MscclContent {
  int block = -1;  // -1: nothing yet
  int slice = 0;
  std::vector<bool> ranks;
};

// A chunk of memory: where a Schedule finds what it holds, and where it puts what is written.
struct MscclPlace {
  MscclContent content;
  ir::Operand found;
  ir::Operand written;
  bool isWritten = false;
  int slice = -1;  // of a user's buffer; -1: scratch takes any
};

// A step that was run.
struct MscclRan {
  ir::Step step;
  uint64_t order = 0;  // among all steps of all ranks
  int block = 0;       // thread block
  int after = -1;      // what it waits for: thread block, and index among what that one ran
  int afterIndex = -1;
  bool isAwaited = false;
  bool isPlainReduce = false;  // "re"
};

// What one rank has done and has in memory.
struct MscclRankState {
  struct Block {
    size_t step = 0;
    int unit = 0;  // chunks of the step that are done, where chunks travel one by one
    std::vector<MscclRan> ran;
    std::vector<int> lastOf;  // by step: the last in `ran` when it was done, -1: none
    std::set<int> scratch;    // blocks of scratch that it touched
  };
  std::vector<MscclPlace> places;  // input, output, scratch; output on the input where in place
  std::vector<int> outputPlaces;   // of the output's chunks, in `places`
  int scratchPlace = 0;            // of the first chunk of scratch
  int scratchBlocks = 0;
  std::vector<Block> blocks;
};

class MscclRunner {
 public:
  // Messages of several chunks stay whole where `isWhole`; else chunks travel one by one. The file
  // and its name outlive the runner.
  MscclRunner(const MscclFile& file, std::string_view name, bool isWhole);

  // False: some message can not stay whole.
  base::Result<bool> run();

  // After run:
  std::vector<MscclRankState>& ranks() { return ranks_; }
  const MscclFile& file() const { return file_; }
  const MscclPlaces& places() const { return places_; }
  int longestMessage() const { return longestMessage_; }  // in chunks
  size_t channels() const;                                // of the ordered pair that uses most

 private:
  using Fifo = std::tuple<ir::Rank, ir::Rank, int>;  // from, to, channel of the file
  using Contents = std::vector<MscclContent>;

  // The step that runs now.
  struct Now {
    ir::Rank rank;
    size_t index;  // of the thread block
    const MscclBlock& block;
    const MscclStep& step;
    int first;  // chunk of the step
    int count;  // chunks
    Operands sources;
    Operands destinations;
    Contents result;
  };

  void addRank(ir::Rank self);
  void shareMemory(ir::Rank self, int inputs);
  bool canRun(ir::Rank rank, size_t index);
  void runOne(ir::Rank rank, size_t index);
  ir::Step runStep(Now now);
  void read(Now& now, MscclBuffer buffer, int chunk);
  void receive(Now& now);
  void join(Now& now, const Contents& contents);
  void write(Now& now);
  void send(Now& now);
  ir::Operand operandOf(const Now& now, const std::vector<MscclPlace*>& chunks,
                        const Contents& contents, bool isWritten);
  bool areNeighbours(const Now& now, const std::vector<MscclPlace*>& chunks,
                     const Contents& contents, bool isWritten);
  bool isComplete(const Contents& contents);
  int channelOf(ir::Rank from, ir::Rank to, int channel);
  MscclPlace& placeAt(ir::Rank rank, MscclBuffer buffer, int chunk);
  MscclRankState& stateOf(ir::Rank rank) { return ranks_[static_cast<size_t>(rank)]; }
  const MscclBlock& blockOf(ir::Rank rank, size_t index) const {
    return file_.ranks[static_cast<size_t>(rank)].blocks[index];
  }
  void fail(const MscclStep& step, std::string_view text);
  base::Status checkEnd();

  const MscclFile& file_;
  std::string_view name_;
  MscclPlaces places_;
  bool isWhole_;
  bool isDivided_ = false;  // some message can not stay whole
  base::Status status_;
  std::vector<MscclRankState> ranks_;
  std::map<Fifo, std::deque<Contents>> fifos_;
  std::map<std::pair<ir::Rank, ir::Rank>, std::map<int, int>> channels_;  // 0, 1 ... for each pair
  int longestMessage_ = 1;
  uint64_t orders_ = 0;
};

}  // namespace tutti::schedule
