// Who may talk to UCX over TCP.
//
// UCX listens on ports of its own and trusts whoever connects: malformed packets end the process,
// and others write to any address they name. But its own thread only accepts connections; what they
// say is read when the worker makes progress. So peers tell each other over the control plane by
// which sockets they have connected, and before the first progress
//   - every other connection is cut, unread, and
//   - the kernel is told to drop, at UCX's ports, whatever would begin another one.
// Until then the kernel lets in only the hosts on which peers are.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::transports::ucx {

// One end of a TCP connection. As text "10.0.0.1:4711" or "[fd00::1]:4711".
struct SocketEnd {
  bool isV6 = false;
  std::array<uint8_t, 16> address{};  // of IPv4 the first four
  uint16_t port = 0;

  auto operator<=>(const SocketEnd&) const = default;
  std::string text() const;
  static std::optional<SocketEnd> parse(std::string_view text);
};

using SocketEnds = std::set<SocketEnd>;

// Lists of ends, separated by commas. What does not parse is left out.
std::string listOf(const SocketEnds& ends);
SocketEnds parseList(std::string_view text);

// By which sockets of this process each of several peers has been called, who listen at `doors`.
std::vector<SocketEnds> introductionsTo(const std::vector<SocketEnds>& doors);

// Of one worker. Used by one thread at a time, and from making it to shut() only one in the process
// at a time: what begins to listen meanwhile might be another one's.
class Guard {
 public:
  // Before UCX listens.
  Guard();
  // UCX listens: finds its ports by what it says in `workerAddress` among what has been opened
  // since, and lets in nobody but `hosts` (whose ports do not matter). False where the kernel
  // refuses.
  bool shut(std::string_view workerAddress, const SocketEnds& hosts);
  // Where UCX listens.
  const SocketEnds& doors() const { return doors_; }

  // Cuts off who has come by other sockets than these, and nobody else comes in any more. Waits for
  // those who are known to have connected, for a second at most. False where the kernel refuses.
  bool admit(const SocketEnds& introduced);
  // Some of those admitted have not been seen yet: look() looks for them.
  bool isWaiting() const { return !missing_.empty(); }
  bool look();

 private:
  bool letIn(const SocketEnds& ends, bool isByPort);

  std::set<uint64_t> before_;  // SO_COOKIE of sockets that listened
  SocketEnds doors_;
  SocketEnds missing_;
};

}  // namespace tutti::transports::ucx
