#include "src/bootstrap/unique_id.h"

#include <cstring>

#include <fmt/format.h>

#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/host.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr std::string_view kMagic = "TUTI";
constexpr uint8_t kServedByRankZero = 1;
constexpr size_t kChecksumAt = kUniqueIdBytes - 4;

}  // namespace

UniqueId encodeUniqueId(const IdContent& content) {
  WireWriter out;
  out.raw(kMagic);
  out.u8(kProtocolVersion);
  out.u8(content.isServedByRankZero ? kServedByRankZero : 0);
  out.u8(static_cast<uint8_t>(content.addresses.size()));
  out.u8(0);
  out.raw(base::asText(content.secret));
  out.u64(content.hostKey);
  for (size_t i = 0; i < kMaxIdAddresses; ++i) {
    (i < content.addresses.size() ? content.addresses[i] : Address()).write(out);
  }
  UniqueId id;
  std::string bytes = out.take();
  bytes.resize(kChecksumAt);
  WireWriter checksum;
  checksum.u32(base::crc32c(std::as_bytes(std::span(bytes))));
  bytes += checksum.take();
  std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

base::Result<IdContent> decodeUniqueId(const UniqueId& id) {
  const std::string_view bytes = base::asText(id.bytes);
  WireReader in(bytes);
  if (in.raw(kMagic.size()) != kMagic) {
    return Status(Code::kInvalidArgument, base::kErrBadUniqueId,
                  "the unique id was not made by tuttiGetUniqueId, or was damaged on its way: its "
                  "first bytes are wrong; send all 128 bytes as they are");
  }
  const uint8_t version = in.u8();
  if (version != kProtocolVersion) {
    return Status(
        Code::kInvalidUsage, base::kErrProtocolVersion,
        fmt::format("the unique id was made by a Tutti with control protocol {}, this one "
                    "speaks {}: use the same release on all ranks",
                    version, kProtocolVersion));
  }
  IdContent content;
  content.isServedByRankZero = (in.u8() & kServedByRankZero) != 0;
  const size_t count = in.u8();
  in.u8();
  const std::string_view secret = in.raw(content.secret.size());
  std::memcpy(content.secret.data(), secret.data(), secret.size());
  content.hostKey = in.u64();
  for (size_t i = 0; i < kMaxIdAddresses; ++i) {
    const Address address = Address::read(in);
    if (i < count && address.family != 0) content.addresses.push_back(address);
  }
  WireReader checksum(bytes.substr(kChecksumAt));
  const uint32_t expected = base::crc32c(std::as_bytes(std::span(bytes.substr(0, kChecksumAt))));
  if (checksum.u32() != expected || content.addresses.empty()) {
    return Status(Code::kInvalidArgument, base::kErrBadUniqueId,
                  "the unique id was damaged on its way: its checksum is wrong; send all 128 bytes "
                  "as they are (they hold zeros)");
  }
  return content;
}

uint64_t thisHostKey() { return base::hash64(base::realHostIdentity()) | 1; }

}  // namespace tutti::bootstrap
