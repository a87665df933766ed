#include "src/schedule/msccl_tell.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "src/base/errors.h"
#include "src/schedule/check.h"

namespace tutti::schedule {
namespace {

using base::Result;
using base::Status;
using ir::Collective;
using ir::Operand;
using ir::Space;
using ir::StepKind;

// Chunks [first, first + count) of a buffer.
struct Range {
  MscclBuffer buffer = MscclBuffer::kInput;
  int first = 0;
  int count = 0;
};

// One rank's file.
class RankWriter {
 public:
  RankWriter(const ir::Schedule& schedule, const MscclPlaces& places, const MscclUnits& units)
      : schedule_(schedule), places_(places), units_(units) {}

  Result<MscclRank> write() {
    for (const MscclBuffer buffer : {MscclBuffer::kInput, MscclBuffer::kOutput}) {
      rank_.chunks[static_cast<size_t>(buffer)] = places_.chunks(buffer, schedule_.rank);
    }
    for (const ir::Lane& lane : schedule_.lanes) {
      for (const ir::Step& step : lane.steps) {
        if (!usesScratch(step)) continue;
        const int length = lengthOf(lane, ir::partOf(schedule_, lane, step));
        scratchLength_ = std::max(scratchLength_, length);
      }
    }
    scratchChunks_ = schedule_.scratchBlocks * scratchLength_;
    for (size_t index = 0; index < schedule_.lanes.size(); ++index) {
      TUTTI_RETURN_IF_ERROR(writeLane(index));
    }
    orderLanes();
    finish();
    rank_.chunks[static_cast<size_t>(MscclBuffer::kScratch)] = scratchChunks_;
    return std::move(rank_);
  }

 private:
  // A step of a thread block before its dependencies are written.
  struct Told {
    MscclStep step;
    int block = 0;
    std::map<int, int> after;  // thread block -> index of the last step of it that comes before
  };
  struct Access {
    size_t told;
    Range range;
    bool isWritten;
  };
  using End = std::pair<ir::Rank, int>;  // peer and channel

  static bool usesScratch(const ir::Step& step) {
    const auto isScratch = [](const Operand& each) { return each.space == Space::kScratch; };
    return std::any_of(step.sources.begin(), step.sources.end(), isScratch) ||
           std::any_of(step.destinations.begin(), step.destinations.end(), isScratch);
  }

  // ---- where things are

  Result<Range> rangeOf(const ir::Lane& lane, const ir::Step& step, const Operand& operand) const {
    const ir::Part part = ir::partOf(schedule_, lane, step);
    const int begin = units_.sliceBegins[static_cast<size_t>(part.slice)];
    const int end = units_.sliceBegins[static_cast<size_t>(part.slice + part.slices)];
    const int slice = end - begin;
    Range range;
    range.buffer = operand.space == Space::kInput    ? MscclBuffer::kInput
                   : operand.space == Space::kOutput ? MscclBuffer::kOutput
                                                     : MscclBuffer::kScratch;
    if (operand.space == Space::kScratch) {
      range.first = operand.block * scratchLength_;
      range.count = lengthOf(lane, part) * operand.blocks;
      if (operand.blocks == 1 || lengthOf(lane, part) == scratchLength_) return range;
    } else if (places_.isVector) {
      const int block = slice / lane.blocks;
      range.first = begin + operand.block * block;
      range.count = operand.blocks * block;
      return range;
    } else {
      const int block = units_.sliceBegins.back();
      range.first = operand.block * block + begin;
      range.count = (operand.blocks - 1) * block + slice;
      if (operand.blocks == 1 || slice == block) return range;
    }
    return mscclUnsupported(
        fmt::format("rank {} uses {} neighbouring blocks, but a slice of each only", schedule_.rank,
                    operand.blocks));
  }
  int lengthOf(const ir::Lane& lane, const ir::Part& part) const {
    const int slice = units_.sliceBegins[static_cast<size_t>(part.slice + part.slices)] -
                      units_.sliceBegins[static_cast<size_t>(part.slice)];
    return places_.isVector ? slice / lane.blocks : slice;
  }

  // The same range in one numbering of input and output, which may be the same memory.
  Range canonical(Range range) const {
    if (range.buffer == MscclBuffer::kScratch) return range;
    const bool isInput = range.buffer == MscclBuffer::kInput;
    const bool isOwn = (isInput && places_.collective == Collective::kAllGather) ||
                       (!isInput && places_.collective == Collective::kReduceScatter);
    return {MscclBuffer::kOutput, range.first + (isOwn ? schedule_.rank * places_.slices : 0),
            range.count};
  }
  bool overlap(const Range& one, const Range& other) const {
    const Range a = canonical(one);
    const Range b = canonical(other);
    return a.buffer == b.buffer && a.first < b.first + b.count && b.first < a.first + a.count;
  }

  // ---- thread blocks

  // Pairs the FIFOs that a lane reads with those that it writes, where a step does both: such a
  // step is told in one word.
  void makeBlocks(const ir::Lane& lane) {
    receiver_.clear();
    sender_.clear();
    home_ = -1;
    std::set<End> reads;
    std::set<End> writes;
    std::map<std::pair<End, End>, int> fused;
    for (const ir::Step& step : lane.steps) {
      for (const Operand& from : step.sources) {
        if (from.space != Space::kFifo) continue;
        reads.insert({from.rank, channelOf(from, lane)});
        for (const Operand& to : step.destinations) {
          if (to.space != Space::kFifo || channelOf(to, lane) != channelOf(from, lane)) continue;
          ++fused[{{from.rank, channelOf(from, lane)}, {to.rank, channelOf(to, lane)}}];
        }
      }
      for (const Operand& to : step.destinations) {
        if (to.space == Space::kFifo) writes.insert({to.rank, channelOf(to, lane)});
      }
    }
    std::vector<std::tuple<int, End, End>> pairs;
    for (const auto& [ends, count] : fused) pairs.emplace_back(-count, ends.first, ends.second);
    std::sort(pairs.begin(), pairs.end());
    for (const auto& [count, read, written] : pairs) {
      if (receiver_.count(read) > 0 || sender_.count(written) > 0) continue;
      receiver_[read] = sender_[written] = addBlock(written.first, read.first, read.second);
    }
    for (const End& read : reads) {
      if (receiver_.count(read) == 0) receiver_[read] = addBlock(-1, read.first, read.second);
    }
    for (const End& written : writes) {
      if (sender_.count(written) == 0) {
        sender_[written] = addBlock(written.first, -1, written.second);
      }
    }
  }

  int addBlock(int sendPeer, int receivePeer, int channel) {
    MscclBlock& block = rank_.blocks.emplace_back();
    block.id = static_cast<int>(rank_.blocks.size()) - 1;
    block.sendPeer = sendPeer;
    block.receivePeer = receivePeer;
    block.channel = channel;
    tolds_.emplace_back();
    if (home_ < 0) home_ = block.id;
    return block.id;
  }
  // Where a lane's local work is done.
  int home() { return home_ >= 0 ? home_ : addBlock(-1, -1, 0); }

  // ---- telling

  Status writeLane(size_t index) {
    const ir::Lane& lane = schedule_.lanes[index];
    makeBlocks(lane);
    accesses_.clear();
    temporary_.reset();
    stepTolds_.emplace_back();
    for (const ir::Step& step : lane.steps) {
      const size_t before = all_.size();
      TUTTI_RETURN_IF_ERROR(writeStep(lane, step));
      stepTolds_.back().emplace_back(before, all_.size());
    }
    return {};
  }

  void tell(std::string_view type, int block, std::optional<Range> source,
            std::optional<Range> target, int count) {
    Told told;
    told.block = block;
    told.step.type = type;
    told.step.count = count;
    const size_t index = all_.size();
    const auto use = [&](const std::optional<Range>& range, MscclBuffer& buffer, int& first,
                         bool isWritten) {
      if (!range) return;
      buffer = range->buffer;
      first = range->first;
      addOrder(told, *range, isWritten);
    };
    use(source, told.step.sourceBuffer, told.step.source, false);
    use(target, told.step.targetBuffer, told.step.target, true);
    for (const auto& [range, isWritten] : {std::pair(source, false), std::pair(target, true)}) {
      if (range) accesses_.push_back({index, *range, isWritten});
    }
    tolds_[static_cast<size_t>(block)].push_back(index);
    all_.push_back(std::move(told));
  }

  // What the lane did before to the same memory comes before.
  void addOrder(Told& told, const Range& range, bool isWritten) {
    for (const Access& access : accesses_) {
      const Told& earlier = all_[access.told];
      if (earlier.block == told.block || !(isWritten || access.isWritten)) continue;
      if (overlap(access.range, range)) waitFor(told, access.told);
    }
  }
  void waitFor(Told& told, size_t earlier) {
    const int block = all_[earlier].block;
    if (block == told.block) return;
    const auto& steps = tolds_[static_cast<size_t>(block)];
    const auto at = std::find(steps.begin(), steps.end(), earlier) - steps.begin();
    int& last = told.after.try_emplace(block, -1).first->second;
    last = std::max(last, static_cast<int>(at));
  }

  // Room for partial results of this lane.
  Range temporary(int count) {
    if (!temporary_ || temporary_->count < count) {
      temporary_ = Range{MscclBuffer::kScratch, scratchChunks_, count};
      scratchChunks_ += count;
    }
    return {MscclBuffer::kScratch, temporary_->first, count};
  }

  // A step's operands as ranges of chunks. A source that is none is a message.
  struct Parts {
    std::vector<std::optional<Range>> sources;
    std::vector<Range> targets;
    std::vector<End> sends;
    int count = 0;
  };

  Result<Parts> partsOf(const ir::Lane& lane, const ir::Step& step) const {
    Parts parts;
    for (const Operand& to : step.destinations) {
      if (to.space == Space::kFifo) {
        parts.sends.emplace_back(to.rank, channelOf(to, lane));
        continue;
      }
      TUTTI_ASSIGN_OR_RETURN(const Range range, rangeOf(lane, step, to));
      parts.targets.push_back(range);
      parts.count = range.count;
    }
    for (const Operand& from : step.sources) {
      parts.sources.emplace_back();
      if (from.space == Space::kFifo) continue;
      TUTTI_ASSIGN_OR_RETURN(parts.sources.back(), rangeOf(lane, step, from));
      parts.count = parts.sources.back()->count;
    }
    if (parts.count > 0) return parts;
    // How many blocks the message has is known only where it was put together.
    return mscclUnsupported(
        fmt::format("rank {} passes a message on without a place for it", schedule_.rank));
  }

  Status writeStep(const ir::Lane& lane, const ir::Step& step) {
    if (step.kind == StepKind::kPass) return {};
    TUTTI_ASSIGN_OR_RETURN(Parts parts, partsOf(lane, step));
    std::optional<Range> sum;
    for (size_t at = 0; at < parts.sources.size(); ++at) {
      const Operand& from = step.sources[at];
      if (parts.sources[at]) {
        addLocal(parts, at, sum);
      } else {
        addMessage(receiver_.at({from.rank, channelOf(from, lane)}), parts, at, sum);
      }
    }
    for (const Range& target : parts.targets) {
      if (!isSame(*sum, target)) tell("cpy", home(), sum, target, parts.count);
    }
    for (const End& send : parts.sends) {
      tell("s", sender_.at(send), sum, std::nullopt, parts.count);
    }
    return {};
  }

  static bool isSame(const Range& a, const Range& b) {
    return a.buffer == b.buffer && a.first == b.first && a.count == b.count;
  }

  // A place for what is combined up to source `at`: the first target, unless a later source lies
  // there.
  Range placeFor(const Parts& parts, size_t at) {
    if (parts.targets.empty()) return temporary(parts.count);
    for (size_t later = at + 1; later < parts.sources.size(); ++later) {
      if (parts.sources[later] && overlap(*parts.sources[later], parts.targets[0])) {
        return temporary(parts.count);
      }
    }
    return parts.targets[0];
  }

  void addLocal(const Parts& parts, size_t at, std::optional<Range>& sum) {
    const Range source = *parts.sources[at];
    if (!sum) {
      sum = source;
      return;
    }
    Range place = *sum;
    const bool isSource = at == 1 && parts.sources[0];  // which must not change
    if (isSource) {
      place = placeFor(parts, 0);
      if (!isSame(place, *sum)) tell("cpy", home(), sum, place, parts.count);
    }
    tell("re", home(), source, place, parts.count);
    sum = place;
  }

  // `block` has the FIFO.
  void addMessage(int block, Parts& parts, size_t at, std::optional<Range>& sum) {
    const bool isLast = at + 1 == parts.sources.size();
    auto& sends = parts.sends;
    const auto paired = std::find_if(sends.begin(), sends.end(),
                                     [&](const End& send) { return sender_.at(send) == block; });
    const bool isSent = isLast && paired != sends.end();
    if (isSent && sum && parts.targets.empty() && sends.size() == 1) {
      tell("rrs", block, sum, std::nullopt, parts.count);
    } else {
      const Range place = placeFor(parts, at);
      const std::string_view word = sum ? (isSent ? "rrcs" : "rrc") : (isSent ? "rcs" : "r");
      tell(word, block, sum, place, parts.count);
      sum = place;
    }
    if (isSent) sends.erase(paired);
  }

  // Step::afterLane.
  void orderLanes() {
    for (size_t index = 0; index < schedule_.lanes.size(); ++index) {
      const auto& steps = schedule_.lanes[index].steps;
      std::set<size_t> pending;  // from steps that tell nothing themselves
      for (size_t at = 0; at < steps.size(); ++at) {
        if (steps[at].afterLane >= 0) {
          const auto& other = stepTolds_[static_cast<size_t>(steps[at].afterLane)];
          for (size_t told = other.front().first;
               told < other[static_cast<size_t>(steps[at].afterStep)].second; ++told) {
            pending.insert(told);
          }
        }
        // All that comes next in the lane waits, in whatever thread block.
        for (size_t next = at; next < steps.size() && !pending.empty(); ++next) {
          const auto [first, last] = stepTolds_[index][next];
          for (size_t told = first; told < last; ++told) {
            for (const size_t earlier : pending) waitFor(all_[told], earlier);
          }
        }
        pending.clear();
      }
    }
  }

  // ---- the file

  // Dependencies as the format has them: one for each step, further ones on steps that do nothing.
  void finish() {
    std::vector<std::vector<int>> places(tolds_.size());  // of each told step in the file
    for (size_t block = 0; block < tolds_.size(); ++block) {
      std::map<int, int> known;  // what the block has waited for before
      for (const size_t index : tolds_[block]) {
        Told& told = all_[index];
        std::vector<std::pair<int, int>> after;
        for (const auto& [other, last] : told.after) {
          int& before = known.try_emplace(other, -1).first->second;
          if (last <= before) continue;
          before = last;
          after.emplace_back(other, last);
        }
        auto& steps = rank_.blocks[block].steps;
        for (size_t each = 0; each + 1 < after.size(); ++each) {
          MscclStep& pause = steps.emplace_back();
          pause.type = "nop";
          std::tie(pause.afterBlock, pause.afterStep) = after[each];
        }
        if (!after.empty()) {
          std::tie(told.step.afterBlock, told.step.afterStep) = after.back();
        }
        places[block].push_back(static_cast<int>(steps.size()));
        steps.push_back(told.step);
      }
    }
    for (MscclBlock& block : rank_.blocks) {
      for (MscclStep& step : block.steps) {
        if (step.afterBlock < 0) continue;
        const auto other = static_cast<size_t>(step.afterBlock);
        step.afterStep = places[other][static_cast<size_t>(step.afterStep)];
        rank_.blocks[other].steps[static_cast<size_t>(step.afterStep)].isAwaited = true;
      }
    }
  }

  const ir::Schedule& schedule_;
  const MscclPlaces& places_;
  const MscclUnits& units_;
  MscclRank rank_;
  int scratchLength_ = 0;  // chunks of a scratch block: as many as any step works on
  int scratchChunks_ = 0;
  std::vector<Told> all_;                   // in the order of lanes and steps
  std::vector<std::vector<size_t>> tolds_;  // by thread block, indices into all_
  std::vector<std::vector<std::pair<size_t, size_t>>> stepTolds_;  // by lane and step: from, to
  // Of the lane that is being written:
  std::map<End, int> receiver_;
  std::map<End, int> sender_;
  int home_ = -1;
  std::vector<Access> accesses_;
  std::optional<Range> temporary_;
};

}  // namespace

Status mscclUnsupported(std::string text) {
  return {base::Code::kInvalidUsage, base::kErrUnsupported,
          "MSCCL XML has no words for this schedule: " + std::move(text)};
}

Result<MscclRank> tellMsccl(const ir::Schedule& schedule, const MscclPlaces& places,
                            const MscclUnits& units) {
  return RankWriter(schedule, places, units).write();
}

}  // namespace tutti::schedule
