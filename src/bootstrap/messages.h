// What ranks say to the rendezvous and to each other. Frame types and payloads.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/secure.h"
#include "src/base/status.h"
#include "src/bootstrap/address.h"

namespace tutti::bootstrap {

enum FrameType : uint8_t {
  // rank -> rendezvous
  kFrameRegister = 1,  // Registration
  kFrameJoined = 2,    // the rank is through; empty
  kFrameGiveUp = 3,    // Status: the rank stops joining
  // both ways, both to the rendezvous and in the tree
  kFrameAsk = 4,      // who is missing? u32 number of the allGather (0 at the rendezvous)
  kFrameMissing = 5,  // u32 as asked, then ranks
  // rendezvous -> rank
  kFrameParent = 6,   // Invitation: all have registered, go there
  kFrameRefused = 7,  // Status: this init has failed
  // in the tree
  kFrameAttach = 8,      // child -> parent: PeerIdentity
  kFrameValues = 9,      // values of an allGather
  kFrameFailure = 10,    // u32 rank, u8 isAbort, reason
  kFrameLeave = 11,      // u32 rank
  kFrameHeartbeat = 12,  // empty
  kFrameNote = 13        // u32 rank that it is from, text; up to rank 0, or down to all
};

struct PeerIdentity {
  uint32_t rank = 0;
  uint32_t pid = 0;
  std::string host;

  // "process 4711 on host a"
  std::string toString() const;
  void write(WireWriter& out) const;
  static PeerIdentity read(WireReader& in);
};

// Where a rank's children reach it.
struct Door {
  base::KeyId name{};
  uint64_t hostKey = 0;
  std::vector<Address> addresses;

  void write(WireWriter& out) const;
  static Door read(WireReader& in);
};

struct Registration {
  PeerIdentity identity;
  uint32_t size = 0;     // number of ranks, as this rank was told
  uint32_t idCount = 1;  // number of rendezvous servers, and which one this is
  uint32_t idIndex = 0;
  uint32_t fanOut = 1;
  Door door;

  std::string encode() const;
  static std::optional<Registration> decode(std::string_view bytes);
};

// The parent of a rank in the tree; nothing for the root.
struct Invitation {
  std::optional<PeerIdentity> parent;
  Door door;

  std::string encode() const;
  static std::optional<Invitation> decode(std::string_view bytes);
};

std::string encodeStatus(const base::Status& status);
base::Status decodeStatus(std::string_view bytes);

struct MissingRanks {
  uint32_t number = 0;
  std::vector<int> ranks;

  std::string encode() const;
  static std::optional<MissingRanks> decode(std::string_view bytes);
};

// "rank 2", "ranks 2, 5", "ranks 1, 2, 3 ... (40 in all)".
std::string describeRanks(const std::vector<int>& ranks);

// The key that guards a door: only those who know the communicator's secret can open it.
base::Key doorKey(const base::Key& secret, const base::KeyId& name);

}  // namespace tutti::bootstrap
