#include "transports/template/connection.h"

#include <fmt/format.h>

#include "src/base/errors.h"

namespace tutti::transports::skeleton {

using base::Code;
using base::Status;

base::Result<std::unique_ptr<Connection>> ExampleConnection::open(ir::Rank peer,
                                                                  std::string_view address,
                                                                  const ContextOptions& options) {
  auto connection = std::make_unique<ExampleConnection>();
  connection->peer_ = peer;
  // A real transport maps the peer's segment here, and compares its token with options.token.
  connection->segment_.size = options.segment.size;
  return Status(Code::kSystemError, base::kErrTransportFailed,
                fmt::format("the example transport cannot reach rank {} at \"{}\"", peer, address));
}

// Null where the memory cannot be mapped: the collective then takes another way.
std::byte* ExampleConnection::mapPeer(uint64_t, const device::ShareHandle&, size_t) {
  return nullptr;
}

// Never called where canCopy() is false.
Status ExampleConnection::readPeer(void*, uint64_t, size_t) {
  return {Code::kInternalError, base::kErrInternal, "the example transport copies nothing"};
}

Status ExampleConnection::writePeer(uint64_t, const void*, size_t) {
  return {Code::kInternalError, base::kErrInternal, "the example transport copies nothing"};
}

}  // namespace tutti::transports::skeleton
