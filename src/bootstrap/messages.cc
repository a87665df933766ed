#include "src/bootstrap/messages.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/base/errors.h"
#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

std::string PeerIdentity::toString() const {
  return fmt::format("process {} on host {}", pid, host);
}

void PeerIdentity::write(WireWriter& out) const {
  out.u32(rank);
  out.u32(pid);
  out.text(host);
}

PeerIdentity PeerIdentity::read(WireReader& in) {
  PeerIdentity identity;
  identity.rank = in.u32();
  identity.pid = in.u32();
  identity.host = in.text();
  return identity;
}

void Door::write(WireWriter& out) const {
  out.raw(base::asText(name));
  out.u64(hostKey);
  out.u8(static_cast<uint8_t>(addresses.size()));
  for (const Address& address : addresses) address.write(out);
}

Door Door::read(WireReader& in) {
  Door door;
  const std::string_view name = in.raw(door.name.size());
  std::memcpy(door.name.data(), name.data(), name.size());
  door.hostKey = in.u64();
  const size_t count = std::min<size_t>(in.u8(), kMaxIdAddresses);
  for (size_t i = 0; i < count; ++i) door.addresses.push_back(Address::read(in));
  return door;
}

std::string Registration::encode() const {
  WireWriter out;
  identity.write(out);
  out.u32(size);
  out.u32(idCount);
  out.u32(idIndex);
  out.u32(fanOut);
  door.write(out);
  return out.take();
}

std::optional<Registration> Registration::decode(std::string_view bytes) {
  WireReader in(bytes);
  Registration result;
  result.identity = PeerIdentity::read(in);
  result.size = in.u32();
  result.idCount = in.u32();
  result.idIndex = in.u32();
  result.fanOut = in.u32();
  result.door = Door::read(in);
  const bool isSane = in.isGood() && in.isAtEnd() && result.identity.rank < result.size &&
                      result.size <= 1u << 20 && result.idIndex < result.idCount &&
                      result.idCount <= result.size && result.fanOut > 0;
  return isSane ? std::optional(result) : std::nullopt;
}

std::string Invitation::encode() const {
  WireWriter out;
  out.u8(parent ? 1 : 0);
  if (parent) {
    parent->write(out);
    door.write(out);
  }
  return out.take();
}

std::optional<Invitation> Invitation::decode(std::string_view bytes) {
  WireReader in(bytes);
  Invitation result;
  if (in.u8() != 0) {
    result.parent = PeerIdentity::read(in);
    result.door = Door::read(in);
  }
  return in.isGood() && in.isAtEnd() ? std::optional(result) : std::nullopt;
}

std::string encodeStatus(const Status& status) {
  WireWriter out;
  out.u32(static_cast<uint32_t>(status.code()));
  out.u32(static_cast<uint32_t>(status.errorId()));
  out.text(status.text());
  return out.take();
}

Status decodeStatus(std::string_view bytes) {
  WireReader in(bytes);
  const uint32_t code = in.u32();
  const uint32_t id = in.u32();
  const std::string_view text = in.text();
  if (!in.isGood() || code == 0 || code > static_cast<uint32_t>(Code::kTimeout)) {
    return {Code::kRemoteError, base::kErrInternal, "a peer failed and sent no readable reason"};
  }
  return {static_cast<Code>(code), static_cast<int>(id), std::string(text)};
}

std::string MissingRanks::encode() const {
  WireWriter out;
  out.u32(number);
  out.u32(static_cast<uint32_t>(ranks.size()));
  for (const int rank : ranks) out.u32(static_cast<uint32_t>(rank));
  return out.take();
}

std::optional<MissingRanks> MissingRanks::decode(std::string_view bytes) {
  WireReader in(bytes);
  MissingRanks result;
  result.number = in.u32();
  const uint32_t count = in.u32();
  for (uint32_t i = 0; i < count && in.isGood(); ++i) {
    result.ranks.push_back(static_cast<int>(in.u32()));
  }
  return in.isGood() ? std::optional(result) : std::nullopt;
}

std::string describeRanks(const std::vector<int>& ranks) {
  constexpr size_t kShown = 16;
  if (ranks.size() == 1) return fmt::format("rank {}", ranks.front());
  if (ranks.size() <= kShown) return fmt::format("ranks {}", fmt::join(ranks, ", "));
  return fmt::format("ranks {} ... ({} in all)",
                     fmt::join(ranks.begin(), ranks.begin() + kShown, ", "), ranks.size());
}

base::Key doorKey(const base::Key& secret, const base::KeyId& name) {
  return base::keyedHash(secret, {"tutti door", base::asText(name)});
}

}  // namespace tutti::bootstrap
