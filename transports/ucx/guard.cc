#include "transports/ucx/guard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "src/base/clock.h"

namespace tutti::transports::ucx {
namespace {

constexpr int64_t kMostWaitNs = 1'000'000'000;
constexpr auto kLookEvery = std::chrono::milliseconds(1);
// A program for the kernel has at most 4,096 steps, and 20 KiB of memory where nobody raised
// net.core.optmem_max.
constexpr size_t kMostEnds = 300;

struct Socket {
  int fd = -1;
  uint64_t cookie = 0;  // the kernel gives no other socket the same
  bool isListening = false;
  SocketEnd local;
  std::optional<SocketEnd> peer;
};

std::optional<SocketEnd> endOf(const sockaddr_storage& storage) {
  SocketEnd end;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::memcpy(end.address.data(), &v4.sin_addr, sizeof(v4.sin_addr));
    end.port = ntohs(v4.sin_port);
    return end;
  }
  if (storage.ss_family != AF_INET6) return std::nullopt;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  end.isV6 = true;
  std::memcpy(end.address.data(), &v6.sin6_addr, sizeof(v6.sin6_addr));
  end.port = ntohs(v6.sin6_port);
  return end;
}

// Asked by number: the descriptors are other threads', who may open and close them meanwhile, and
// the thread sanitizer takes functions for such a look for races.
template <typename... Args>
bool ask(long call, int fd, Args... args) {
  return syscall(call, fd, args...) == 0;
}

std::optional<Socket> socketOf(int fd) {
  Socket found;
  found.fd = fd;
  int type = 0, isListening = 0;
  socklen_t length = sizeof(type);
  if (!ask(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM) {
    return std::nullopt;
  }
  length = sizeof(isListening);
  ask(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length);
  found.isListening = isListening != 0;
  length = sizeof(found.cookie);
  ask(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &found.cookie, &length);
  sockaddr_storage storage{};
  length = sizeof(storage);
  const auto local = ask(SYS_getsockname, fd, &storage, &length) ? endOf(storage) : std::nullopt;
  if (!local) return std::nullopt;
  found.local = *local;
  length = sizeof(storage);
  if (ask(SYS_getpeername, fd, &storage, &length)) found.peer = endOf(storage);
  return found;
}

// The TCP sockets of this process.
std::vector<Socket> tcpSockets() {
  std::vector<Socket> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::string name = entry.path().filename().string();
    if (const auto socket = socketOf(std::atoi(name.c_str()))) found.push_back(*socket);
  }
  return found;
}

void keepFromChildren(int fd) { ask(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC); }

// UCX's address of a worker has the port in network order, and the interface's address unless that
// is loopback. It listens at single addresses only.
bool isInAddress(const SocketEnd& end, std::string_view workerAddress) {
  if (end.address == decltype(end.address){}) return false;
  const char port[] = {static_cast<char>(end.port >> 8), static_cast<char>(end.port & 0xff)};
  if (workerAddress.find(std::string_view(port, sizeof(port))) == std::string_view::npos) {
    return false;
  }
  const std::string_view host(reinterpret_cast<const char*>(end.address.data()), end.isV6 ? 16 : 4);
  const bool isLoopback = end.isV6 ? end.address[15] == 1 && end.address[0] == 0 : host[0] == 127;
  return isLoopback || workerAddress.find(host) != std::string_view::npos;
}

// A filter program sees TCP's header at 0 and IP's at SKF_NET_OFF.
class Program {
 public:
  // Compares the host, and the port if `isByPort`; who is equal comes in.
  void add(const SocketEnd& end, bool isByPort) {
    const int words = end.isV6 ? 4 : 1;
    const uint32_t source = static_cast<uint32_t>(SKF_NET_OFF) + (end.isV6 ? 8 : 12);
    // Steps from each comparison to the next end.
    int left = 2 * words + (isByPort ? 2 : 0) + 1;
    const auto compare = [&](uint16_t size, uint32_t at, uint32_t with) {
      left -= 2;
      steps_.push_back(BPF_STMT(static_cast<uint16_t>(BPF_LD | BPF_ABS | size), at));
      steps_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, with, 0, static_cast<uint8_t>(left)));
    };
    for (int i = 0; i < words; ++i) {
      uint32_t word = 0;
      std::memcpy(&word, end.address.data() + 4 * i, sizeof(word));
      compare(BPF_W, source + 4 * static_cast<uint32_t>(i), ntohl(word));
    }
    if (isByPort) compare(BPF_H, 0, end.port);
    steps_.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffffffffu));
  }

  bool attach(int fd) {
    steps_.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
    const sock_fprog program{static_cast<unsigned short>(steps_.size()), steps_.data()};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
  }

 private:
  std::vector<sock_filter> steps_;
};

// Its owner reads an end of the stream and closes it; what comes later the kernel refuses. UCX's
// thread accepted it, and only the kernel orders that before this, which the thread sanitizer does
// not see: it takes recv for a race, so the call goes past it.
void cutOff(int fd) {
  shutdown(fd, SHUT_RDWR);
  while (syscall(SYS_recvfrom, fd, nullptr, 1 << 20, MSG_DONTWAIT | MSG_TRUNC, nullptr, nullptr) >
         0) {
  }
}

bool isSomeoneAtTheDoor(const Socket& door) {
  pollfd entry{door.fd, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

}  // namespace

std::string SocketEnd::text() const {
  char host[INET6_ADDRSTRLEN] = {};
  inet_ntop(isV6 ? AF_INET6 : AF_INET, address.data(), host, sizeof(host));
  return isV6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::optional<SocketEnd> SocketEnd::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string host(text.substr(0, colon));
  const std::string port(text.substr(colon + 1));
  SocketEnd end;
  end.isV6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (end.isV6) host = host.substr(1, host.size() - 2);
  char* rest = nullptr;
  const unsigned long number = std::strtoul(port.c_str(), &rest, 10);
  if (port.empty() || *rest != '\0' || number > 65535) return std::nullopt;
  end.port = static_cast<uint16_t>(number);
  if (inet_pton(end.isV6 ? AF_INET6 : AF_INET, host.c_str(), end.address.data()) != 1) {
    return std::nullopt;
  }
  return end;
}

std::string listOf(const SocketEnds& ends) {
  std::string text;
  for (const SocketEnd& end : ends) {
    if (!text.empty()) text += ',';
    text += end.text();
  }
  return text;
}

SocketEnds parseList(std::string_view text) {
  SocketEnds ends;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (const auto end = SocketEnd::parse(text.substr(0, comma))) ends.insert(*end);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return ends;
}

std::vector<SocketEnds> introductionsTo(const std::vector<SocketEnds>& doors) {
  std::vector<SocketEnds> introductions(doors.size());
  const auto sockets = tcpSockets();
  for (size_t i = 0; i < doors.size(); ++i) {
    for (const Socket& socket : sockets) {
      if (!socket.peer || doors[i].count(*socket.peer) == 0) continue;
      keepFromChildren(socket.fd);
      introductions[i].insert(socket.local);
    }
  }
  return introductions;
}

Guard::Guard() {
  for (const Socket& socket : tcpSockets()) {
    if (socket.isListening) before_.insert(socket.cookie);
  }
}

bool Guard::shut(std::string_view workerAddress, const SocketEnds& hosts) {
  for (const Socket& socket : tcpSockets()) {
    if (!socket.isListening || before_.count(socket.cookie) > 0) continue;
    if (!isInAddress(socket.local, workerAddress)) continue;
    keepFromChildren(socket.fd);
    doors_.insert(socket.local);
  }
  return letIn(hosts, false);
}

// More hosts than the kernel takes come in for now: nothing is read before they are looked at.
bool Guard::letIn(const SocketEnds& ends, bool isByPort) {
  if (ends.size() > kMostEnds) return !isByPort;
  bool isDone = true;
  for (const Socket& door : tcpSockets()) {
    if (!door.isListening || doors_.count(door.local) == 0) continue;
    Program program;
    for (const SocketEnd& end : ends) {
      if (end.isV6 == door.local.isV6) program.add(end, isByPort);
    }
    isDone &= program.attach(door.fd);
  }
  return isDone;
}

bool Guard::admit(const SocketEnds& introduced) {
  if (doors_.empty()) return true;
  missing_ = introduced;
  letIn(introduced, true);
  const int64_t until = base::nowNs() + kMostWaitNs;
  // UCX's thread may be just accepting: two looks have to agree.
  size_t seen = 0;
  for (bool isSettled = false; !isSettled && base::nowNs() < until;) {
    std::this_thread::sleep_for(kLookEvery);
    bool isAccepting = false;
    size_t count = 0;
    for (const Socket& socket : tcpSockets()) {
      if (doors_.count(socket.local) == 0) continue;
      isAccepting |= socket.isListening && isSomeoneAtTheDoor(socket);
      if (socket.peer) missing_.erase(*socket.peer);
      ++count;
    }
    isSettled = !isAccepting && missing_.empty() && count == std::exchange(seen, count);
  }
  for (const Socket& socket : tcpSockets()) {
    if (socket.isListening || doors_.count(socket.local) == 0) continue;
    keepFromChildren(socket.fd);
    if (!socket.peer || introduced.count(*socket.peer) == 0) {
      cutOff(socket.fd);
    } else {
      // The filter of the door, which it has inherited, would cost it time.
      int unused = 0;
      setsockopt(socket.fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
    }
  }
  return letIn(missing_, true);
}

bool Guard::look() {
  const size_t before = missing_.size();
  for (const Socket& socket : tcpSockets()) {
    if (socket.isListening || !socket.peer || doors_.count(socket.local) == 0) continue;
    if (missing_.erase(*socket.peer) > 0) keepFromChildren(socket.fd);
  }
  return missing_.size() == before || letIn(missing_, true);
}

}  // namespace tutti::transports::ucx
