#include "src/schedule/msccl_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "src/base/errors.h"
#include "src/base/xml.h"

namespace tutti::schedule {
namespace {

using base::XmlElement;
using ir::Collective;

constexpr int kMostRanks = 1024;
constexpr int kMostChunks = 65536;
// What reading costs grows with these; real files stay far below.
constexpr int64_t kMostPlaces = 1 << 19;     // chunks of all buffers of all ranks
constexpr int64_t kMostTransfers = 1 << 22;  // chunks that all steps touch
constexpr int64_t kMostProof = 1 << 28;      // thread blocks x steps
constexpr std::string_view kBufferNames[] = {"i", "o", "s"};

constexpr MscclWords kWords[] = {
    {"s", false, true, false, true},    {"r", true, false, true, false},
    {"rcs", true, false, true, true},   {"rrs", true, true, false, true},
    {"rrc", true, true, true, false},   {"rrcs", true, true, true, true},
    {"cpy", false, true, true, false},  {"re", false, true, true, false},
    {"nop", false, false, false, false}};

struct Name {
  std::string_view text;
  Collective collective;
};
// The first of a collective is the one that is written.
constexpr Name kCollectives[] = {{"allreduce", Collective::kAllReduce},
                                 {"allgather", Collective::kAllGather},
                                 {"reducescatter", Collective::kReduceScatter},
                                 {"reduce_scatter", Collective::kReduceScatter},
                                 {"alltoall", Collective::kAllToAll},
                                 {"broadcast", Collective::kBroadcast},
                                 {"reduce", Collective::kReduce}};

// Turns elements into values; the first thing that is wrong stands.
class Parser {
 public:
  explicit Parser(std::string_view file) : file_(file) {}

  base::Result<MscclFile> parse(const XmlElement& root) {
    MscclFile file;
    if (root.name != "algo") fail(root, fmt::format("<{}> where <algo> is expected", root.name));
    parseHead(root, file);
    if (status_.isOk()) parseRanks(root, file);
    if (!status_.isOk()) return status_;
    return file;
  }

 private:
  void fail(const XmlElement& at, std::string_view text) { fail(at.line, text); }
  void fail(int line, std::string_view text) {
    if (status_.isOk()) status_ = base::errorAt(file_, line, text, base::kErrScheduleFile);
  }

  template <typename Number>
  Number number(const XmlElement& element, std::string_view name, Number least, Number most,
                std::optional<Number> otherwise = std::nullopt) {
    const std::string* text = element.find(name);
    if (text == nullptr && otherwise) return *otherwise;
    Number value{};
    const char* end = text == nullptr ? nullptr : text->data() + text->size();
    if (text != nullptr) {
      const auto read = std::from_chars(text->data(), end, value);
      if (read.ec == std::errc() && read.ptr == end && value >= least && value <= most) {
        return value;
      }
    }
    fail(element, fmt::format("<{}> has {} {}=\"{}\"; a number from {} to {} is expected",
                              element.name, text == nullptr ? "no" : "the attribute", name,
                              text == nullptr ? "..." : *text, least, most));
    return least;
  }
  int number(const XmlElement& element, std::string_view name, int least, int most) {
    return number<int>(element, name, least, most);
  }

  void parseHead(const XmlElement& root, MscclFile& file) {
    file.name = root.get("name");
    const std::string_view collective = root.get("coll");
    const auto* known = std::find_if(std::begin(kCollectives), std::end(kCollectives),
                                     [&](const Name& each) { return each.text == collective; });
    if (known == std::end(kCollectives)) {
      return fail(root, fmt::format("the collective \"{}\" is not one of allreduce, allgather, "
                                    "reducescatter, alltoall, broadcast, reduce",
                                    collective));
    }
    file.collective = known->collective;
    const int size = number(root, "ngpus", 2, kMostRanks);
    file.ranks.resize(static_cast<size_t>(size));
    file.root = number<int>(root, "root", 0, size - 1, 0);
    file.chunks = number(root, "nchunksperloop", 1, kMostChunks);
    file.channels = number<int>(root, "nchannels", 1, kMostChunks, 1);
    file.isForInPlace = number<int>(root, "inplace", 0, 1, 0) == 1;
    file.isForOutOfPlace = number<int>(root, "outofplace", 0, 1, file.isForInPlace ? 0 : 1) == 1;
    file.minBytes = number<uint64_t>(root, "minBytes", 0, UINT64_MAX, 0);
    file.maxBytes = number<uint64_t>(root, "maxBytes", 0, UINT64_MAX, 0);
    if (status_.isOk() && !file.isForInPlace && !file.isForOutOfPlace) {
      fail(root, "is for neither inplace nor outofplace use");
    }
    const bool isVector = MscclPlaces(file).isVector;
    if (status_.isOk() && !isVector && file.chunks % size != 0) {
      fail(root, fmt::format("{} chunks can not be shared by {} ranks", file.chunks, size));
    }
  }

  void parseRanks(const XmlElement& root, MscclFile& file) {
    const int size = static_cast<int>(file.ranks.size());
    std::vector<bool> isThere(file.ranks.size());
    for (const XmlElement& element : root.children) {
      if (element.name != "gpu") continue;
      const auto id = static_cast<size_t>(number(element, "id", 0, size - 1));
      if (isThere[id]) fail(element, fmt::format("gpu {} is there twice", id));
      if (!status_.isOk()) return;
      isThere[id] = true;
      file.ranks[id] = parseRank(element, file, static_cast<ir::Rank>(id));
    }
    if (status_.isOk()) checkSize(root, file);
    const auto missing = std::find(isThere.begin(), isThere.end(), false);
    if (missing != isThere.end()) {
      fail(root, fmt::format("gpu {} of {} is not there", missing - isThere.begin(), size));
    }
  }

  void checkSize(const XmlElement& root, const MscclFile& file) {
    int64_t places = 0;
    int64_t transfers = 0;
    int64_t blocks = 0;
    int64_t steps = 0;
    for (const MscclRank& rank : file.ranks) {
      for (const int chunks : rank.chunks) places += chunks;
      blocks += static_cast<int64_t>(rank.blocks.size());
      for (const MscclBlock& block : rank.blocks) {
        steps += static_cast<int64_t>(block.steps.size());
        for (const MscclStep& step : block.steps) transfers += step.count;
      }
    }
    if (places <= kMostPlaces && transfers <= kMostTransfers && blocks * steps <= kMostProof) {
      return;
    }
    fail(root, fmt::format("{} chunks of memory, {} steps in {} thread blocks and {} chunks moved "
                           "are more than can be read",
                           places, steps, blocks, transfers));
  }

  MscclRank parseRank(const XmlElement& element, const MscclFile& file, ir::Rank self) {
    MscclRank rank;
    rank.line = element.line;
    rank.chunks = {number<int>(element, "i_chunks", 0, kMostChunks, 0),
                   number<int>(element, "o_chunks", 0, kMostChunks, 0),
                   number<int>(element, "s_chunks", 0, kMostChunks, 0)};
    const MscclPlaces places(file);
    for (const MscclBuffer buffer : {MscclBuffer::kInput, MscclBuffer::kOutput}) {
      rank.chunks[static_cast<size_t>(buffer)] = places.chunks(buffer, self);
    }
    for (const XmlElement& child : element.children) {
      if (child.name == "tb") rank.blocks.push_back(parseBlock(child, file, rank, self));
    }
    std::sort(rank.blocks.begin(), rank.blocks.end(),
              [](const MscclBlock& a, const MscclBlock& b) { return a.id < b.id; });
    for (size_t at = 0; at < rank.blocks.size(); ++at) {
      if (rank.blocks[at].id == static_cast<int>(at)) continue;
      fail(rank.blocks[at].line,
           fmt::format("the thread blocks of gpu {} are not numbered 0, 1, 2 ...", self));
    }
    checkDependencies(rank);
    return rank;
  }

  MscclBlock parseBlock(const XmlElement& element, const MscclFile& file, const MscclRank& rank,
                        ir::Rank self) {
    const int size = static_cast<int>(file.ranks.size());
    MscclBlock block;
    block.line = element.line;
    block.id = number(element, "id", 0, kMostChunks);
    block.sendPeer = number(element, "send", -1, size - 1);
    block.receivePeer = number(element, "recv", -1, size - 1);
    block.channel = number<int>(element, "chan", 0, kMostChunks, 0);
    if (block.sendPeer == self || block.receivePeer == self) {
      fail(element, fmt::format("gpu {} sends to or receives from itself", self));
    }
    for (const XmlElement& child : element.children) {
      if (child.name != "step") continue;
      if (number(child, "s", 0, kMostChunks) != static_cast<int>(block.steps.size())) {
        fail(child, fmt::format("the steps are not numbered 0, 1, 2 ..., or step {} is missing",
                                block.steps.size()));
      }
      block.steps.push_back(parseStep(child, block, rank));
    }
    return block;
  }

  MscclStep parseStep(const XmlElement& element, const MscclBlock& block, const MscclRank& rank) {
    MscclStep step;
    step.line = element.line;
    step.type = element.get("type");
    step.afterBlock = number<int>(element, "depid", -1, kMostChunks, -1);
    step.afterStep = number<int>(element, "deps", -1, kMostChunks, -1);
    step.isAwaited = number<int>(element, "hasdep", 0, 1, 0) == 1;
    const MscclWords* words = mscclWords(step.type);
    if (words == nullptr) {
      fail(element,
           fmt::format("the step type \"{}\" is not one of s, r, rcs, rrs, rrc, rrcs, cpy, "
                       "re, nop",
                       step.type));
      return step;
    }
    if ((words->sends && block.sendPeer < 0) || (words->receives && block.receivePeer < 0)) {
      fail(element, fmt::format("\"{}\" in a thread block without a peer to {}", step.type,
                                words->sends && block.sendPeer < 0 ? "send to" : "receive from"));
    }
    if (step.type == "nop") return step;
    step.count = number(element, "cnt", 1, kMostChunks);
    if (words->usesSource) parsePlace(element, "src", rank, step.sourceBuffer, step.source, step);
    if (words->usesTarget) parsePlace(element, "dst", rank, step.targetBuffer, step.target, step);
    return step;
  }

  void parsePlace(const XmlElement& element, const std::string& which, const MscclRank& rank,
                  MscclBuffer& buffer, int& chunk, const MscclStep& step) {
    const std::string_view name = element.get(which + "buf");
    const auto* known = std::find(std::begin(kBufferNames), std::end(kBufferNames), name);
    if (known == std::end(kBufferNames)) {
      return fail(element, fmt::format("{}buf=\"{}\" is not one of i, o, s", which, name));
    }
    const auto index = static_cast<size_t>(known - std::begin(kBufferNames));
    buffer = static_cast<MscclBuffer>(index);
    chunk = number(element, which + "off", 0, kMostChunks);
    if (chunk > rank.chunks[index] - step.count) {
      fail(element, fmt::format("chunks {} to {} of {} \"{}\"", chunk, chunk + step.count - 1,
                                rank.chunks[index], name));
    }
  }

  void checkDependencies(const MscclRank& rank) {
    for (const MscclBlock& block : rank.blocks) {
      for (const MscclStep& step : block.steps) {
        if (step.afterBlock < 0) continue;
        const auto other = static_cast<size_t>(step.afterBlock);
        if (other < rank.blocks.size() && step.afterStep >= 0 &&
            static_cast<size_t>(step.afterStep) < rank.blocks[other].steps.size()) {
          continue;
        }
        fail(step.line, fmt::format("waits for step {} of thread block {}, which is not there",
                                    step.afterStep, step.afterBlock));
      }
    }
  }

  std::string_view file_;
  base::Status status_;
};

}  // namespace

const MscclWords* mscclWords(std::string_view type) {
  const auto* known = std::find_if(std::begin(kWords), std::end(kWords),
                                   [&](const MscclWords& each) { return each.type == type; });
  return known == std::end(kWords) ? nullptr : known;
}

MscclPlaces::MscclPlaces(const MscclFile& file)
    : collective(file.collective),
      root(file.root),
      size(static_cast<int>(file.ranks.size())),
      isVector(file.collective == Collective::kAllReduce ||
               file.collective == Collective::kReduce || file.collective == Collective::kBroadcast),
      slices(isVector ? 1 : std::max(1, file.chunks / std::max(1, size))),
      all(file.chunks) {}

int MscclPlaces::chunks(MscclBuffer buffer, ir::Rank rank) const {
  const bool isInput = buffer == MscclBuffer::kInput;
  switch (collective) {
    case Collective::kReduce: return isInput || rank == root ? all : 0;
    case Collective::kBroadcast: return !isInput || rank == root ? all : 0;
    case Collective::kAllGather: return isInput ? slices : all;
    case Collective::kReduceScatter: return isInput ? all : slices;
    default: return all;
  }
}

int MscclPlaces::blockOf(MscclBuffer buffer, int chunk) const {
  const bool isOwn = (collective == Collective::kAllGather && buffer == MscclBuffer::kInput) ||
                     (collective == Collective::kReduceScatter && buffer == MscclBuffer::kOutput);
  return isOwn ? 0 : chunk / slices;
}

int MscclPlaces::outputAt(ir::Rank rank, int inputChunk) const {
  if (collective == Collective::kAllGather) return rank * slices + inputChunk;
  if (collective == Collective::kReduceScatter) {
    return inputChunk / slices == rank ? inputChunk % slices : -1;
  }
  return inputChunk < chunks(MscclBuffer::kOutput, rank) ? inputChunk : -1;
}

base::Result<MscclFile> parseMscclFile(std::string_view text, std::string_view file) {
  TUTTI_ASSIGN_OR_RETURN(const XmlElement root, base::parseXml(text, file, base::kErrScheduleFile));
  return Parser(file).parse(root);
}

std::string toXml(const MscclFile& file) {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto* collective =
      std::find_if(std::begin(kCollectives), std::end(kCollectives),
                   [&](const Name& each) { return each.collective == file.collective; });
  fmt::format_to(out,
                 "<algo name=\"{}\" proto=\"Simple\" nchannels=\"{}\" nchunksperloop=\"{}\" "
                 "ngpus=\"{}\" coll=\"{}\" root=\"{}\" inplace=\"{:d}\" outofplace=\"{:d}\" "
                 "minBytes=\"{}\" maxBytes=\"{}\">\n",
                 base::xmlEscaped(file.name), file.channels, file.chunks, file.ranks.size(),
                 collective->text, file.root, file.isForInPlace, file.isForOutOfPlace,
                 file.minBytes, file.maxBytes);
  const auto name = [](MscclBuffer buffer) { return kBufferNames[static_cast<size_t>(buffer)]; };
  for (size_t id = 0; id < file.ranks.size(); ++id) {
    const MscclRank& rank = file.ranks[id];
    fmt::format_to(out, "  <gpu id=\"{}\" i_chunks=\"{}\" o_chunks=\"{}\" s_chunks=\"{}\">\n", id,
                   rank.chunks[0], rank.chunks[1], rank.chunks[2]);
    for (const MscclBlock& block : rank.blocks) {
      fmt::format_to(out, "    <tb id=\"{}\" send=\"{}\" recv=\"{}\" chan=\"{}\">\n", block.id,
                     block.sendPeer, block.receivePeer, block.channel);
      for (size_t at = 0; at < block.steps.size(); ++at) {
        const MscclStep& step = block.steps[at];
        fmt::format_to(out,
                       "      <step s=\"{}\" type=\"{}\" srcbuf=\"{}\" srcoff=\"{}\" "
                       "dstbuf=\"{}\" dstoff=\"{}\" cnt=\"{}\" depid=\"{}\" deps=\"{}\" "
                       "hasdep=\"{:d}\"/>\n",
                       at, step.type, name(step.sourceBuffer), step.source, name(step.targetBuffer),
                       step.target, step.count, step.afterBlock, step.afterStep, step.isAwaited);
      }
      fmt::format_to(out, "    </tb>\n");
    }
    fmt::format_to(out, "  </gpu>\n");
  }
  return text + "</algo>\n";
}

}  // namespace tutti::schedule
