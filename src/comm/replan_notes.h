// What ranks tell each other about links that are slow, and how they agree on another plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/observed.h"

namespace tutti::comm {

struct ReplanNote {
  enum class Kind : uint8_t {
    // From any rank to rank 0.
    kHello,   // I listen
    kSlow,    // what I see is not as planned
    kReport,  // flows: what I saw since kWatch
    kAnswer,  // number: which collective I may be planning; isPending
    kBye,     // I leave
    // From rank 0 to all.
    kWatch,      // look for a while, and report
    kHold,       // plan no more collectives until I say so
    kDecide,     // from collective `number` on these changes hold, for that reason
    kGiveUp,     // all stays as it is
    kAsPlanned,  // what you reported is no reason to change anything
  };
  Kind kind = Kind::kHello;
  uint64_t round = 0;
  uint64_t number = 0;
  bool isPending = false;
  std::vector<topology::ObservedFlow> flows = {};
  std::vector<topology::LinkChange> changes = {};
  std::string reason = {};
  bool operator==(const ReplanNote&) const = default;
};

std::string toText(const ReplanNote& note);
// Nothing where it is none. Whether links and ranks exist is for the reader to look at.
std::optional<ReplanNote> parseReplanNote(std::string_view text);

}  // namespace tutti::comm
