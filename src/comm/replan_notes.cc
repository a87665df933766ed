#include "src/comm/replan_notes.h"

#include <nlohmann/json.hpp>

namespace tutti::comm {

using nlohmann::json;

namespace {

constexpr auto kLastKind = ReplanNote::Kind::kAsPlanned;

}  // namespace

std::string toText(const ReplanNote& note) {
  json flows = json::array();
  for (const auto& flow : note.flows) {
    flows.push_back(json::array({flow.from, flow.to, flow.bytes, flow.ns}));
  }
  json changes = json::array();
  for (const auto& change : note.changes) {
    changes.push_back(json::array({change.link, change.capacity}));
  }
  const json all = {static_cast<int>(note.kind),
                    note.round,
                    note.number,
                    note.isPending,
                    flows,
                    changes,
                    note.reason};
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<ReplanNote> parseReplanNote(std::string_view text) {
  const json all = json::parse(text, nullptr, false);
  if (!all.is_array() || all.size() != 7) return {};
  try {
    ReplanNote note;
    const int kind = all[0].get<int>();
    if (kind < 0 || kind > static_cast<int>(kLastKind)) return {};
    note.kind = static_cast<ReplanNote::Kind>(kind);
    note.round = all[1].get<uint64_t>();
    note.number = all[2].get<uint64_t>();
    note.isPending = all[3].get<bool>();
    for (const json& flow : all[4]) {
      note.flows.push_back({flow.at(0).get<ir::Rank>(), flow.at(1).get<ir::Rank>(),
                            flow.at(2).get<uint64_t>(), flow.at(3).get<int64_t>()});
    }
    for (const json& change : all[5]) {
      note.changes.push_back(
          {change.at(0).get<topology::LinkIndex>(), change.at(1).get<int64_t>()});
    }
    note.reason = all[6].get<std::string>();
    return note;
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace tutti::comm
