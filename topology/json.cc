#include "topology/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "src/base/words.h"
#include "topology/decimal.h"
#include "topology/json_records.h"

namespace tutti::topology {
namespace {

using base::Status;

constexpr size_t kMostNotes = 20;

constexpr NodeKind kNodeKinds[] = {NodeKind::kRank, NodeKind::kSwitch, NodeKind::kNic,
                                   NodeKind::kBridge, NodeKind::kHost};
constexpr LinkKind kLinkKinds[] = {LinkKind::kDevice, LinkKind::kChip,    LinkKind::kPci,
                                   LinkKind::kSocket, LinkKind::kNetwork, LinkKind::kOther};
constexpr Provenance kProvenances[] = {Provenance::kTable, Provenance::kDeclared,
                                       Provenance::kMeasured};

// Links and charges may stand before the nodes that they name.
struct PendingLink {
  JsonValue a, b;
  Link link;
  bool isDuplex = true;
  bool hasKind = false;
};

struct PendingCharge {
  JsonValue a, b, nth;
  int32_t units = 1;
  int32_t number = 0;  // 0: all of them
};

struct PendingResource {
  Resource resource;
  std::vector<PendingCharge> charges;
};

uint64_t keyOf(NodeIndex from, NodeIndex to) {
  return uint64_t{static_cast<uint32_t>(from)} << 32 | static_cast<uint32_t>(to);
}

class Builder {
 public:
  Builder(const JsonSource& source, std::vector<std::string>* notes)
      : source_(source), notes_(notes) {}

  Status take(const JsonRecord& record) {
    switch (record.section) {
      case JsonSection::kTop: topology_.name = record["name"].text; return Status::ok();
      case JsonSection::kNode: return takeNode(record);
      case JsonSection::kLink: return takeLink(record);
      case JsonSection::kResource: return takeResource(record);
      case JsonSection::kCharge: return takeCharge(record);
    }
    return Status::ok();
  }

  base::Result<Topology> finish();

 private:
  using Parallel = std::unordered_map<uint64_t, std::vector<LinkIndex>>;

  template <class Kind, size_t Count>
  Status takeName(const JsonValue& value, const Kind (&kinds)[Count], Kind& kind) const;
  Status takeNumber(const JsonValue& value, std::string_view unit, int power, int64_t least,
                    int64_t most, int64_t& number);
  Status takeCapacity(const JsonValue& value, int64_t& capacity);
  Status takeId(const JsonValue& value, std::unordered_map<std::string, size_t>& places);
  Status takeNode(const JsonRecord& record);
  Status takeLink(const JsonRecord& record);
  Status takeResource(const JsonRecord& record);
  Status takeCharge(const JsonRecord& record);
  Status findNode(const JsonValue& id, NodeIndex& node) const;
  Status finishLink(PendingLink& pending);
  Status finishResource(PendingResource& pending, const Parallel& parallel);
  void note(size_t end, std::string_view text);

  const JsonSource& source_;
  std::vector<std::string>* notes_;
  size_t notesLeftOut_ = 0;
  Topology topology_;
  std::unordered_map<std::string, NodeIndex> nodes_;
  std::unordered_map<std::string, size_t> nodeIds_, resourceIds_;  // and where they stand
  std::vector<PendingLink> links_;
  std::vector<PendingCharge> charges_;  // of the resource that is being read
  std::vector<PendingResource> resources_;
};

void Builder::note(size_t end, std::string_view text) {
  if (notes_ == nullptr) return;
  if (notes_->size() >= kMostNotes) {
    ++notesLeftOut_;
  } else {
    notes_->push_back(fmt::format("{}: {}", source_.place(end), text));
  }
}

template <class Kind, size_t Count>
Status Builder::takeName(const JsonValue& value, const Kind (&kinds)[Count], Kind& kind) const {
  if (!value.isSet) return Status::ok();
  std::vector<std::string_view> names;
  for (const Kind each : kinds) {
    if (value.text == name(each)) {
      kind = each;
      return Status::ok();
    }
    names.push_back(name(each));
  }
  const std::string_view meant = base::nearestWord(value.text, names);
  const std::string hint = meant.empty() ? "" : fmt::format("did you mean \"{}\"? ", meant);
  return source_.failure(value.end, fmt::format("there is no kind \"{:.100}\": {}known are {}",
                                                value.text, hint, fmt::join(names, ", ")));
}

Status Builder::takeNumber(const JsonValue& value, std::string_view unit, int power, int64_t least,
                           int64_t most, int64_t& number) {
  if (!value.isSet) return Status::ok();
  const auto scaled = scaleDecimal(value.text, power);
  if (!scaled || scaled->value < least || scaled->value > most) {
    return source_.failure(value.end,
                           fmt::format("{:.60} is out of range: it must be {} to {}{}", value.text,
                                       decimalText(least, power), decimalText(most, power), unit));
  }
  if (!scaled->isExact) {
    note(value.end, fmt::format("{:.60} is taken as {}{}, which is as fine as it gets", value.text,
                                decimalText(scaled->value, power), unit));
  }
  number = scaled->value;
  return Status::ok();
}

Status Builder::takeCapacity(const JsonValue& value, int64_t& capacity) {
  const auto scaled = scaleDecimal(value.text, 6);
  if (scaled && scaled->value == 0) {
    return source_.failure(value.end, fmt::format("{:.60} GB/s are less than 1 kB/s: leave out "
                                                  "what carries nothing",
                                                  value.text));
  }
  return takeNumber(value, " GB/s", 6, 1, kMostCapacity, capacity);
}

Status Builder::takeId(const JsonValue& value, std::unordered_map<std::string, size_t>& places) {
  if (value.text.empty()) return source_.failure(value.end, "an id must not be empty");
  const auto [before, isNew] = places.emplace(value.text, value.end);
  if (isNew) return Status::ok();
  return source_.failure(
      value.end, fmt::format("the id \"{:.100}\" is taken, at {}: choose another", value.text,
                             source_.place(before->second)));
}

Status Builder::takeNode(const JsonRecord& record) {
  TUTTI_RETURN_IF_ERROR(takeId(record["id"], nodeIds_));
  Node node{.id = record["id"].text,
            .host = record["host"].text,
            .site = record["site"].text,
            .vendor = record["vendor"].text,
            .model = record["model"].text,
            .address = record["address"].text};
  TUTTI_RETURN_IF_ERROR(takeName(record["kind"], kNodeKinds, node.kind));
  nodes_.emplace(node.id, static_cast<NodeIndex>(topology_.nodes.size()));
  topology_.addNode(std::move(node));
  return Status::ok();
}

Status Builder::takeLink(const JsonRecord& record) {
  PendingLink pending{.a = record["a"], .b = record["b"], .link = {}};
  TUTTI_RETURN_IF_ERROR(takeCapacity(record["gb_per_s"], pending.link.capacity));
  TUTTI_RETURN_IF_ERROR(
      takeNumber(record["latency_us"], " us", 3, 0, kMostLatencyNs, pending.link.latencyNs));
  TUTTI_RETURN_IF_ERROR(takeName(record["kind"], kLinkKinds, pending.link.kind));
  TUTTI_RETURN_IF_ERROR(takeName(record["provenance"], kProvenances, pending.link.provenance));
  pending.isDuplex = record["duplex"].text != "false";
  pending.hasKind = record["kind"].isSet;
  links_.push_back(std::move(pending));
  return Status::ok();
}

Status Builder::takeCharge(const JsonRecord& record) {
  PendingCharge pending{.a = record["a"], .b = record["b"], .nth = record["nth"]};
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  int64_t units = 1;
  int64_t number = 0;
  TUTTI_RETURN_IF_ERROR(takeNumber(record["units"], "", 0, 1, kMost, units));
  TUTTI_RETURN_IF_ERROR(takeNumber(record["nth"], "", 0, 1, kMost, number));
  pending.units = static_cast<int32_t>(units);
  pending.number = static_cast<int32_t>(number);
  charges_.push_back(std::move(pending));
  return Status::ok();
}

Status Builder::takeResource(const JsonRecord& record) {
  TUTTI_RETURN_IF_ERROR(takeId(record["id"], resourceIds_));
  PendingResource pending;
  pending.resource.id = record["id"].text;
  TUTTI_RETURN_IF_ERROR(takeCapacity(record["gb_per_s"], pending.resource.capacity));
  pending.charges = std::exchange(charges_, {});
  resources_.push_back(std::move(pending));
  return Status::ok();
}

Status Builder::findNode(const JsonValue& id, NodeIndex& node) const {
  const auto found = nodes_.find(id.text);
  if (found != nodes_.end()) {
    node = found->second;
    return Status::ok();
  }
  std::vector<std::string_view> ids;
  for (const Node& each : topology_.nodes) ids.push_back(each.id);
  const std::string_view meant = base::nearestWord(id.text, ids);
  return source_.failure(
      id.end, fmt::format("no node has the id \"{:.100}\"{}", id.text,
                          meant.empty() ? ": add it to the nodes, or correct it"
                                        : fmt::format(": did you mean \"{:.100}\"?", meant)));
}

Status Builder::finishLink(PendingLink& pending) {
  Link& link = pending.link;
  TUTTI_RETURN_IF_ERROR(findNode(pending.a, link.from));
  TUTTI_RETURN_IF_ERROR(findNode(pending.b, link.to));
  if (link.from == link.to) {
    return source_.failure(pending.b.end,
                           fmt::format("a link of \"{:.100}\" leads to itself: leave "
                                       "it out",
                                       pending.b.text));
  }
  if (!pending.hasKind) {
    link.kind = inferKind(topology_.nodes[static_cast<size_t>(link.from)],
                          topology_.nodes[static_cast<size_t>(link.to)]);
  }
  pending.isDuplex ? topology_.addDuplex(link) : topology_.addLink(link);
  return Status::ok();
}

Status Builder::finishResource(PendingResource& pending, const Parallel& parallel) {
  std::unordered_map<LinkIndex, size_t> places;
  for (const PendingCharge& charge : pending.charges) {
    NodeIndex from = 0;
    NodeIndex to = 0;
    TUTTI_RETURN_IF_ERROR(findNode(charge.a, from));
    TUTTI_RETURN_IF_ERROR(findNode(charge.b, to));
    const auto found = parallel.find(keyOf(from, to));
    if (found == parallel.end()) {
      return source_.failure(
          charge.a.end, fmt::format("no link goes from \"{:.100}\" to \"{:.100}\": a charge is "
                                    "for the links of that direction",
                                    charge.a.text, charge.b.text));
    }
    const std::vector<LinkIndex>& links = found->second;
    if (static_cast<size_t>(charge.number) > links.size()) {
      return source_.failure(
          charge.nth.end, fmt::format("{} links go from \"{:.100}\" to \"{:.100}\"", links.size(),
                                      charge.a.text, charge.b.text));
    }
    const size_t first = charge.number == 0 ? 0 : static_cast<size_t>(charge.number) - 1;
    const size_t last = charge.number == 0 ? links.size() : first + 1;
    for (size_t i = first; i < last; ++i) {
      if (const auto [before, isNew] = places.emplace(links[i], charge.a.end); !isNew) {
        return source_.failure(charge.a.end,
                               fmt::format("this link charges \"{:.100}\" already, at {}: add the "
                                           "units up",
                                           pending.resource.id, source_.place(before->second)));
      }
      pending.resource.charges.push_back({links[i], charge.units});
    }
  }
  topology_.resources.push_back(std::move(pending.resource));
  return Status::ok();
}

base::Result<Topology> Builder::finish() {
  for (PendingLink& pending : links_) TUTTI_RETURN_IF_ERROR(finishLink(pending));
  Parallel parallel;
  if (!resources_.empty()) {
    for (size_t i = 0; i < topology_.links.size(); ++i) {
      const Link& link = topology_.links[i];
      parallel[keyOf(link.from, link.to)].push_back(static_cast<LinkIndex>(i));
    }
  }
  for (PendingResource& pending : resources_) {
    TUTTI_RETURN_IF_ERROR(finishResource(pending, parallel));
  }
  if (notesLeftOut_ > 0) notes_->push_back(fmt::format("and {} notes more", notesLeftOut_));
  return std::move(topology_);
}

}  // namespace

base::Result<Topology> parseJson(std::string_view text, std::string_view fileName,
                                 std::vector<std::string>* notes) {
  const JsonSource source(text, fileName);
  Builder builder(source, notes);
  TUTTI_RETURN_IF_ERROR(
      readJsonRecords(source, [&](const JsonRecord& record) { return builder.take(record); }));
  return builder.finish();
}

LinkKind inferKind(const Node& a, const Node& b) {
  const auto is = [&](NodeKind kind) { return a.kind == kind || b.kind == kind; };
  if (a.host != b.host) return LinkKind::kNetwork;
  if (is(NodeKind::kNic)) {
    const bool isPort = is(NodeKind::kSwitch) || a.kind == b.kind;
    return isPort ? LinkKind::kNetwork : LinkKind::kPci;
  }
  if (is(NodeKind::kBridge)) return LinkKind::kPci;
  if (!is(NodeKind::kHost)) return LinkKind::kDevice;
  return a.kind == b.kind ? LinkKind::kSocket : LinkKind::kPci;
}

}  // namespace tutti::topology
