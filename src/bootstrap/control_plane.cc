#include "src/bootstrap/control_plane.h"

#include <atomic>

#include <fmt/format.h>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/log.h"
#include "src/bootstrap/create_id.h"
#include "src/bootstrap/interfaces.h"
#include "src/bootstrap/plane.h"
#include "src/bootstrap/rendezvous.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

// The owner's side of a Plane.
class ControlPlaneHandle final : public ControlPlane {
 public:
  explicit ControlPlaneHandle(std::shared_ptr<Plane> plane) : plane_(std::move(plane)) {}

  ~ControlPlaneHandle() override {
    if (isUsable()) {
      plane_->release();
    } else {
      // In a child after fork the sockets are the parent's and closed already; their numbers may be
      // other files by now. So nothing is destroyed.
      static_cast<void>(new std::shared_ptr<Plane>(std::move(plane_)));
    }
  }

  int rank() const override { return plane_->rank(); }
  int size() const override { return plane_->size(); }

  base::Result<std::vector<std::string>> allGather(std::string_view mine) override {
    if (isUsable()) return plane_->allGather(mine);
    return Status(Code::kInvalidUsage, base::kErrUseAfterFailure,
                  "a communicator cannot be used in a child made by fork; make a new one there");
  }

  std::array<std::byte, 32> deriveToken(std::string_view label) const override {
    return plane_->deriveToken(label);
  }
  bool hasFailed() const override { return plane_->hasFailed(); }
  std::optional<PeerFailure> failure() const override {
    // A thread that is not in this child may have held the lock at fork.
    return isUsable() ? plane_->failure() : std::nullopt;
  }
  void announceAbort(std::string_view reason) override {
    if (isUsable()) plane_->announceAbort(reason);
  }
  void announceLeave() override {
    if (isUsable()) plane_->announceLeave();
  }
  void listen(NoteListener* listener, std::chrono::milliseconds tick) override {
    if (isUsable()) plane_->listen(listener, tick);
  }
  void note(std::string_view text) override {
    if (isUsable()) plane_->note(text);
  }

 private:
  bool isUsable() const { return plane_->reactor().isOfThisProcess(); }
  std::shared_ptr<Plane> plane_;
};

Status checkOptions(const JoinOptions& options) {
  const bool isGood = !options.ids.empty() && options.size >= 1 && options.rank >= 0 &&
                      options.rank < options.size &&
                      options.ids.size() <= static_cast<size_t>(options.size) &&
                      options.timeout.count() >= 0;
  if (isGood) return {};
  return {Code::kInvalidArgument, base::kErrInvalidArgument,
          fmt::format("rank {} of {} with {} unique ids: the size must be at least 1, the rank "
                      "between 0 and size - 1, and there is at least one id and at most one a rank",
                      options.rank, options.size, options.ids.size())};
}

// The id that TUTTI_ADDR describes.
base::Result<UniqueId> fixedId(const std::string& address) {
  IdContent content;
  content.isServedByRankZero = true;
  TUTTI_ASSIGN_OR_RETURN(content.addresses, resolveAddress(address));
  const std::string& secret = base::processConfig().get(base::param::kSecret);
  content.secret = secret.empty() ? weakSecret(address) : base::plainHash({"tutti secret", secret});
  return fixedAddressId(content.addresses, content.secret);
}

}  // namespace

base::Key weakSecret(std::string_view name) {
  static std::atomic<bool> hasWarned{false};
  if (!hasWarned.exchange(true)) {
    TUTTI_LOG_WARN(
        "TUTTI_SECRET is not set: anybody who can reach {} and guesses its name can join; "
        "set TUTTI_SECRET to the same random text on all ranks",
        name);
  }
  return base::plainHash({"tutti weak secret", name});
}

UniqueId fixedAddressId(std::vector<Address> addresses, const base::Key& secret) {
  if (addresses.size() > kMaxIdAddresses) addresses.resize(kMaxIdAddresses);
  return encodeUniqueId({true, std::move(addresses), secret, 0});
}

base::Result<UniqueId> serveNewId(std::function<void()> onEnd) {
  IdContent content;
  content.secret = base::randomKey();
  content.hostKey = thisHostKey();
  TUTTI_ASSIGN_OR_RETURN(content.addresses, addressesToOffer());
  TUTTI_ASSIGN_OR_RETURN(Reactor* const reactor, Reactor::ofProcess());
  Status status;
  reactor->call([&] {
    auto socket = Acceptor::of(*reactor).open(0, content.addresses.size() == 1);
    if (!socket) {
      status = socket.status();
      return;
    }
    for (Address& address : content.addresses) address.port = (*socket)->port();
    Rendezvous::serve(*reactor, socket.take(), content.secret, std::move(onEnd));
  });
  TUTTI_RETURN_IF_ERROR(status);
  for (const Address& address : content.addresses) {
    TUTTI_LOG_INFO(kBootstrap, "rendezvous at {}", address.toString());
  }
  return encodeUniqueId(content);
}

base::Result<UniqueId> createServedId() { return serveNewId(nullptr); }

base::Result<UniqueId> createUniqueId() {
  const std::string& address = base::processConfig().get(base::param::kAddr);
  return address.empty() ? serveNewId(nullptr) : fixedId(address);
}

base::Result<std::unique_ptr<ControlPlane>> joinWithFanOut(const JoinOptions& options, int fanOut) {
  TUTTI_RETURN_IF_ERROR(checkOptions(options));
  std::vector<IdContent> ids;
  for (const UniqueId& id : options.ids) {
    TUTTI_ASSIGN_OR_RETURN(IdContent content, decodeUniqueId(id));
    ids.push_back(std::move(content));
  }
  TUTTI_ASSIGN_OR_RETURN(Reactor* const reactor, Reactor::ofProcess());
  const auto plane = std::make_shared<Plane>(*reactor, options, std::move(ids), fanOut);
  TUTTI_RETURN_IF_ERROR(plane->join(options.isAborted));
  return std::unique_ptr<ControlPlane>(std::make_unique<ControlPlaneHandle>(plane));
}

base::Result<std::unique_ptr<ControlPlane>> ControlPlane::join(const JoinOptions& options) {
  return joinWithFanOut(options, kFanOut);
}

}  // namespace tutti::bootstrap
