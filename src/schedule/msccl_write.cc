// From Schedules to an MSCCL XML file: what its chunks are, and every rank told in its words.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

#include "src/base/errors.h"
#include "src/schedule/msccl_file.h"
#include "src/schedule/msccl_tell.h"
#include "src/schedule/msccl_xml.h"

namespace tutti::schedule {
namespace {

using base::Result;
using base::Status;
using ir::Collective;
using ir::Operand;
using ir::Space;

constexpr int64_t kMostWrittenChunks = 4096;

Status checkWords(const ir::Schedule& schedule) {
  if (schedule.needsPeerMemory) return mscclUnsupported("it uses peers' memory in place");
  for (const ir::Lane& lane : schedule.lanes) {
    for (const ir::Step& step : lane.steps) {
      for (const auto* operands : {&step.sources, &step.destinations}) {
        for (const Operand& operand : *operands) {
          if (operand.space == Space::kBoard) return mscclUnsupported("it uses posts");
        }
      }
    }
  }
  return {};
}

Result<MscclUnits> unitsOf(std::span<const ir::Schedule> ranks, bool isVector) {
  const auto& weights = ranks[0].sliceWeights;
  int64_t divisor = 0;
  for (const int32_t weight : weights) divisor = std::gcd(divisor, weight);
  int64_t blocks = 1;
  for (const ir::Schedule& schedule : ranks) {
    for (const ir::Lane& lane : schedule.lanes) {
      if (isVector && blocks <= kMostWrittenChunks) blocks = std::lcm<int64_t>(blocks, lane.blocks);
    }
  }
  MscclUnits units;
  units.sliceBegins = {0};
  int64_t all = 0;
  for (const int32_t weight : weights) {
    all += weight / divisor * blocks;
    if (all > kMostWrittenChunks) break;
    units.sliceBegins.push_back(static_cast<int>(all));
  }
  if (!isVector) all *= static_cast<int64_t>(ranks.size());
  if (all > kMostWrittenChunks) {
    return mscclUnsupported(fmt::format("it needs more than {} chunks", kMostWrittenChunks));
  }
  units.all = static_cast<int>(all);
  return units;
}

// Channels of the Schedules as 0, 1, 2 ...
void renumberChannels(MscclFile& file) {
  std::map<int, int> numbers;
  for (const MscclRank& rank : file.ranks) {
    for (const MscclBlock& block : rank.blocks) {
      if (block.sendPeer >= 0 || block.receivePeer >= 0) numbers[block.channel] = 0;
    }
  }
  int next = 0;
  for (auto& [channel, number] : numbers) number = next++;
  for (MscclRank& rank : file.ranks) {
    for (MscclBlock& block : rank.blocks) {
      const auto number = numbers.find(block.channel);
      block.channel = number == numbers.end() ? 0 : number->second;
    }
  }
  file.channels = std::max(1, next);
}

}  // namespace

Result<std::string> writeMscclXml(std::span<const ir::Schedule> ranks, std::string_view name) {
  MscclFile file;
  file.name = name;
  if (ranks.size() < 2) return mscclUnsupported("it is not one of several ranks");
  file.collective = ranks[0].collective;
  file.root = ranks[0].root;
  file.ranks.resize(ranks.size());
  constexpr Collective kKnown[] = {Collective::kAllReduce,     Collective::kAllGather,
                                   Collective::kReduceScatter, Collective::kAllToAll,
                                   Collective::kBroadcast,     Collective::kReduce};
  if (std::find(std::begin(kKnown), std::end(kKnown), file.collective) == std::end(kKnown)) {
    return mscclUnsupported(fmt::format("it has no {}", ir::name(file.collective)));
  }
  TUTTI_ASSIGN_OR_RETURN(const MscclUnits units, unitsOf(ranks, MscclPlaces(file).isVector));
  file.chunks = units.all;
  const MscclPlaces places(file);
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    TUTTI_RETURN_IF_ERROR(checkWords(ranks[rank]));
    TUTTI_ASSIGN_OR_RETURN(file.ranks[rank], tellMsccl(ranks[rank], places, units));
  }
  renumberChannels(file);
  return toXml(file);
}

}  // namespace tutti::schedule
