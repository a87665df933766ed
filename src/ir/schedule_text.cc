// The text of a Schedule. One line for each fact, words separated by spaces:
//
//   schedule all_reduce two_shot rank 1 of 4 root 0
//   slices 1
//   slice_chunks 4096                          only where there are any
//   narrow 8192 8192                           likewise
//   scratch 0
//   peer_memory kernel_copy                    only where needsPeerMemory (, acceptsKernelCopy)
//   lane channel 0 slice 0 blocks 4 chunk 16384
//     move in[2] -> fifo(2)
//     reduce final fifo(0,1) in[1] 3:in[1] -> out[1] fifo(0) after 0.2
//     attach 0 from all
//     signal 1
//     pass after 0.2
//
// Operands: in[first] in[first:blocks] out[..] scratch[..], with "rank:" in front where it is not
// the schedule's own; scratch[..]~block; fifo(peer) fifo(peer,channel); board[post] as a
// destination, rank:board[post] and rank:board[post].part as a source. A step may end with "slices
// first:count" and "after lane.step".
#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <optional>

#include "src/base/errors.h"
#include "src/ir/schedule.h"

namespace tutti::ir {
namespace {

constexpr std::string_view kStepNames[] = {"move",   "reduce", "expose", "attach",
                                           "signal", "wait",   "pass"};
constexpr std::string_view kSpaceNames[] = {"in", "out", "scratch", "fifo", "board"};
constexpr int kStepKinds = 7;

using Out = std::back_insert_iterator<std::string>;

void writeOperand(Out out, const Operand& operand, Rank self) {
  const Rank silent = operand.space == Space::kBoard ? kEveryone : self;
  const std::string_view space = kSpaceNames[static_cast<size_t>(operand.space)];
  if (operand.space == Space::kFifo) {
    fmt::format_to(out, " fifo({}", operand.rank);
    if (operand.channel >= 0) fmt::format_to(out, ",{}", operand.channel);
    fmt::format_to(out, ")");
    return;
  }
  fmt::format_to(out, " ");
  if (operand.rank != silent) fmt::format_to(out, "{}:", operand.rank);
  fmt::format_to(out, "{}[{}", space, operand.block);
  if (operand.blocks != 1) fmt::format_to(out, ":{}", operand.blocks);
  fmt::format_to(out, "]");
  if (operand.part >= 0) fmt::format_to(out, ".{}", operand.part);
  if (operand.like >= 0) fmt::format_to(out, "~{}", operand.like);
}

void writeStep(Out out, const Step& step, Rank self) {
  fmt::format_to(out, "  {}", kStepNames[static_cast<size_t>(step.kind)]);
  if (step.isFinal) fmt::format_to(out, " final");
  if (step.kind == StepKind::kMove || step.kind == StepKind::kReduce) {
    for (const Operand& operand : step.sources) writeOperand(out, operand, self);
    fmt::format_to(out, " ->");
    for (const Operand& operand : step.destinations) writeOperand(out, operand, self);
  } else if (step.kind != StepKind::kPass) {
    fmt::format_to(out, " {}", step.post);
  }
  if (!step.peers.empty()) fmt::format_to(out, " from");
  for (const Rank peer : step.peers) {
    peer == kEveryone ? fmt::format_to(out, " all") : fmt::format_to(out, " {}", peer);
  }
  if (step.slice >= 0) fmt::format_to(out, " slices {}:{}", step.slice, step.slices);
  if (step.afterLane >= 0) fmt::format_to(out, " after {}.{}", step.afterLane, step.afterStep);
  fmt::format_to(out, "\n");
}

// Words of one line, one by one.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  // The next word, or an empty one at the end.
  std::string_view next() {
    const size_t begin = rest_.find_first_not_of(' ');
    if (begin == std::string_view::npos) {
      rest_ = {};
      return {};
    }
    rest_.remove_prefix(begin);
    const std::string_view word = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(word.size());
    return word;
  }

  bool take(std::string_view expected) {
    Words ahead = *this;
    if (ahead.next() != expected) return false;
    *this = ahead;
    return true;
  }

  template <typename Number>
  bool takeNumber(Number& number) {
    const std::string_view word = next();
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    return error == std::errc() && end == word.data() + word.size();
  }

  bool isAtEnd() const { return rest_.find_first_not_of(' ') == std::string_view::npos; }

 private:
  std::string_view rest_;
};

// Characters of one operand.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool take(std::string_view expected) {
    if (rest_.substr(0, expected.size()) != expected) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  bool takeNumber(int32_t& number) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return true;
  }

  bool isAtEnd() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::optional<Operand> parseOperand(std::string_view word, Rank self) {
  Cursor at(word);
  Operand operand;
  if (at.take("fifo(")) {
    operand.space = Space::kFifo;
    if (!at.takeNumber(operand.rank)) return std::nullopt;
    if (at.take(",") && !at.takeNumber(operand.channel)) return std::nullopt;
    return at.take(")") && at.isAtEnd() ? std::optional(operand) : std::nullopt;
  }
  const bool isForeign = at.takeNumber(operand.rank);
  if (isForeign && !at.take(":")) return std::nullopt;
  bool isKnown = false;
  for (const Space space : {Space::kInput, Space::kOutput, Space::kScratch, Space::kBoard}) {
    if (isKnown || !at.take(kSpaceNames[static_cast<size_t>(space)])) continue;
    operand.space = space;
    isKnown = true;
  }
  if (!isForeign) operand.rank = operand.space == Space::kBoard ? kEveryone : self;
  if (!isKnown || !at.take("[") || !at.takeNumber(operand.block)) return std::nullopt;
  if (at.take(":") && !at.takeNumber(operand.blocks)) return std::nullopt;
  if (!at.take("]")) return std::nullopt;
  if (at.take(".") && !at.takeNumber(operand.part)) return std::nullopt;
  if (at.take("~") && !at.takeNumber(operand.like)) return std::nullopt;
  return at.isAtEnd() ? std::optional(operand) : std::nullopt;
}

std::optional<Collective> collectiveNamed(std::string_view word) {
  for (int value = 0; value < kCollectiveCount; ++value) {
    const auto collective = static_cast<Collective>(value);
    if (name(collective) == word) return collective;
  }
  return std::nullopt;
}

bool parseHead(Words words, Schedule& schedule) {
  const auto collective = collectiveNamed(words.next());
  if (!collective) return false;
  schedule.collective = *collective;
  const std::string_view algorithm = words.next();
  schedule.algorithm = algorithm == "-" ? "" : algorithm;
  return words.take("rank") && words.takeNumber(schedule.rank) && words.take("of") &&
         words.takeNumber(schedule.size) && words.take("root") && words.takeNumber(schedule.root) &&
         words.isAtEnd();
}

template <typename Number>
bool parseNumbers(Words words, std::vector<Number>& numbers) {
  while (!words.isAtEnd()) {
    if (!words.takeNumber(numbers.emplace_back())) return false;
  }
  return true;
}

bool parsePeerMemory(Words words, Schedule& schedule) {
  schedule.needsPeerMemory = true;
  schedule.acceptsKernelCopy = words.take("kernel_copy");
  return words.isAtEnd();
}

bool parseLane(Words words, Schedule& schedule) {
  Lane& lane = schedule.lanes.emplace_back();
  return words.take("channel") && words.takeNumber(lane.channel) && words.take("slice") &&
         words.takeNumber(lane.slice) && words.take("blocks") && words.takeNumber(lane.blocks) &&
         words.take("chunk") && words.takeNumber(lane.chunkBytes) && words.isAtEnd();
}

// What may follow the operands and peers of a step.
bool isSuffix(std::string_view word) { return word == "slices" || word == "after"; }

bool parseOperands(Words& words, Step& step, Rank self) {
  auto* into = &step.sources;
  while (true) {
    Words ahead = words;
    const std::string_view word = ahead.next();
    if (word.empty() || isSuffix(word)) return into == &step.destinations;
    if (word == "->") {
      if (into == &step.destinations) return false;
      into = &step.destinations;
    } else {
      const auto operand = parseOperand(word, self);
      if (!operand) return false;
      into->push_back(*operand);
    }
    words = ahead;
  }
}

bool parsePeers(Words& words, Step& step) {
  if (!words.take("from")) return true;
  while (true) {
    Words ahead = words;
    const std::string_view word = ahead.next();
    if (word.empty() || isSuffix(word)) return !step.peers.empty();
    Rank peer = kEveryone;
    if (!words.take("all") && !words.takeNumber(peer)) return false;
    step.peers.push_back(peer);
  }
}

bool parsePart(Words& words, Step& step) {
  if (!words.take("slices")) return true;
  Cursor at(words.next());
  return at.takeNumber(step.slice) && at.take(":") && at.takeNumber(step.slices) && at.isAtEnd();
}

bool parseAfter(Words& words, Step& step) {
  if (!words.take("after")) return words.isAtEnd();
  Cursor at(words.next());
  return at.takeNumber(step.afterLane) && at.take(".") && at.takeNumber(step.afterStep) &&
         at.isAtEnd() && words.isAtEnd();
}

bool parseStep(std::string_view kind, Words words, Schedule& schedule) {
  if (schedule.lanes.empty()) return false;
  Step step;
  int index = 0;
  while (index < kStepKinds && kStepNames[index] != kind) ++index;
  if (index == kStepKinds) return false;
  step.kind = static_cast<StepKind>(index);
  step.isFinal = words.take("final");
  if (step.kind == StepKind::kMove || step.kind == StepKind::kReduce) {
    if (!parseOperands(words, step, schedule.rank)) return false;
  } else if (step.kind != StepKind::kPass &&
             (!words.takeNumber(step.post) || !parsePeers(words, step))) {
    return false;
  }
  if (!parsePart(words, step) || !parseAfter(words, step)) return false;
  schedule.lanes.back().steps.push_back(std::move(step));
  return true;
}

bool parseLine(std::string_view line, bool isFirst, Schedule& schedule) {
  Words words(line);
  const std::string_view word = words.next();
  if (isFirst) return word == "schedule" && parseHead(words, schedule);
  if (word == "slices") return parseNumbers(words, schedule.sliceWeights);
  if (word == "slice_chunks") return parseNumbers(words, schedule.sliceChunks);
  if (word == "narrow") return parseNumbers(words, schedule.narrowBytes);
  if (word == "scratch") return words.takeNumber(schedule.scratchBlocks) && words.isAtEnd();
  if (word == "peer_memory") return parsePeerMemory(words, schedule);
  if (word == "lane") return parseLane(words, schedule);
  return parseStep(word, words, schedule);
}

}  // namespace

std::string toString(const Schedule& schedule) {
  std::string text;
  const Out out(text);
  const std::string_view algorithm =
      schedule.algorithm.empty() ? std::string_view("-") : std::string_view(schedule.algorithm);
  fmt::format_to(out, "schedule {} {} rank {} of {} root {}\nslices", name(schedule.collective),
                 algorithm, schedule.rank, schedule.size, schedule.root);
  for (const int32_t weight : schedule.sliceWeights) fmt::format_to(out, " {}", weight);
  const auto writeBytes = [out](std::string_view word, const std::vector<uint64_t>& numbers) {
    if (numbers.empty()) return;
    fmt::format_to(out, "\n{}", word);
    for (const uint64_t bytes : numbers) fmt::format_to(out, " {}", bytes);
  };
  writeBytes("slice_chunks", schedule.sliceChunks);
  writeBytes("narrow", schedule.narrowBytes);
  fmt::format_to(out, "\nscratch {}\n", schedule.scratchBlocks);
  if (schedule.needsPeerMemory) {
    fmt::format_to(out, "peer_memory{}\n", schedule.acceptsKernelCopy ? " kernel_copy" : "");
  }
  for (const Lane& lane : schedule.lanes) {
    fmt::format_to(out, "lane channel {} slice {} blocks {} chunk {}\n", lane.channel, lane.slice,
                   lane.blocks, lane.chunkBytes);
    for (const Step& step : lane.steps) writeStep(out, step, schedule.rank);
  }
  return text;
}

base::Result<Schedule> parseSchedule(std::string_view text) {
  Schedule schedule;
  int number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (parseLine(line, ++number == 1, schedule)) continue;
    return base::Status(base::Code::kInvalidArgument, base::kErrInvalidArgument,
                        fmt::format("line {} of a schedule is not understood: \"{}\"", number,
                                    line.substr(0, 120)));
  }
  if (number > 0) return schedule;
  return base::Status(base::Code::kInvalidArgument, base::kErrInvalidArgument,
                      "a schedule's text is empty");
}

}  // namespace tutti::ir
