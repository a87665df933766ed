// Strangers at the door: whoever connects to the rendezvous without the secret is dropped, and
// delays nobody. And launchers whose word differs from the caller's.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "tests/faults/faults.h"
#include "transports/registry.h"

namespace tutti::test {
namespace {

// The ports on which a process listens, with their family.
struct Port {
  int family;
  uint16_t number;
  in_addr_t address;  // of IPv4: the one at which it listens, or any
  auto operator<=>(const Port&) const = default;
};

std::vector<Port> listeningPorts(pid_t process) {
  std::set<std::string> inodes;
  const std::string root = fmt::format("/proc/{}/", process);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + "fd", error)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  std::vector<Port> ports;
  for (const auto& [file, family] : {std::pair{"net/tcp", AF_INET}, {"net/tcp6", AF_INET6}}) {
    std::ifstream table(root + file);
    std::string line;
    while (std::getline(table, line)) {
      char address[64], peer[64], inode[32];
      unsigned port = 0, state = 0;
      const int fields =
          std::sscanf(line.c_str(), " %*d: %63[0-9A-F]:%x %63s %x %*s %*s %*s %*s %*s %31s",
                      address, &port, peer, &state, inode);
      constexpr unsigned kListen = 0x0A;
      if (fields == 5 && state == kListen && inodes.count(inode) > 0) {
        const auto host = static_cast<in_addr_t>(std::strtoul(address, nullptr, 16));
        ports.push_back({family, static_cast<uint16_t>(port), family == AF_INET ? host : 0});
      }
    }
  }
  return ports;
}

// `flags`: SOCK_NONBLOCK does not wait until the connection is there.
int connectTo(const Port& port, int flags = 0) {
  const int fd = socket(port.family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (port.family == AF_INET) {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(port.number);
    address->sin_addr.s_addr = port.address != 0 ? port.address : htonl(INADDR_LOOPBACK);
    length = sizeof(*address);
  } else {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(port.number);
    address->sin6_addr = in6addr_loopback;
    length = sizeof(*address);
  }
  if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0) return fd;
  if (fd >= 0 && (flags & SOCK_NONBLOCK) != 0 && errno == EINPROGRESS) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

using Attack = std::function<void(int fd)>;

struct Stranger {
  const char* title;
  int connections;
  Attack attack;
};

void PrintTo(const Stranger& stranger, std::ostream* out) { *out << stranger.title; }

void sendAll(int fd, const void* data, size_t bytes) {
  const ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
  static_cast<void>(sent);
}

std::vector<Stranger> strangers() {
  return {{"silent", 5, [](int) {}},
          {"garbage", 5,
           [](int fd) {
             std::vector<unsigned char> bytes(5000);
             for (size_t i = 0; i < bytes.size(); ++i)
               bytes[i] = static_cast<unsigned char>(i * 37);
             sendAll(fd, bytes.data(), bytes.size());
           }},
          {"http", 3,
           [](int fd) {
             const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
             sendAll(fd, request, sizeof(request) - 1);
           }},
          {"zeros", 3,
           [](int fd) {
             const std::vector<char> zeros(100000);
             sendAll(fd, zeros.data(), zeros.size());
           }},
          {"half_a_word", 3, [](int fd) { sendAll(fd, "T", 1); }},
          {"scan", 50, [](int fd) { shutdown(fd, SHUT_RDWR); }},
          {"crowd", 200, [](int) {}}};
}

class Strangers : public testing::TestWithParam<Stranger> {};

// Rank 0 has begun to join; strangers come; then the others join.
TEST_P(Strangers, DoNotDelayInit) {
  RunOptions options;
  options.setting = {Launch::kProcesses, 3};
  options.makesComm = false;
  runRanks(options, [&](RankContext& context) {
    const tuttiUniqueId id = context.newId();
    std::vector<int> sockets;
    std::thread stranger;
    if (context.rank() == 0) {
      stranger = std::thread([&] {
        sleepMs(50);
        const auto ports = listeningPorts(getpid());
        context.board().values[1].store(ports.size());
        for (const auto& port : ports) {
          for (int i = 0; i < GetParam().connections; ++i) {
            const int fd = connectTo(port);
            if (fd < 0) continue;
            GetParam().attack(fd);
            sockets.push_back(fd);
          }
        }
        context.board().values[0].store(1);
      });
    } else {
      context.awaitValue(0, 1);
    }
    const int64_t start = nowNs();
    tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
    config.timeoutMs = 20000;
    tuttiComm_t comm = nullptr;
    context.doing("init");
    TUTTI_REQUIRE(context,
                  tuttiCommInitRankConfig(&comm, context.size(), id, context.rank(), &config));
    const double took = secondsSince(start);
    if (stranger.joinable()) stranger.join();
    TUTTI_CHECK(context, context.board().values[1].load() > 0);
    if (context.rank() != 0 && took > (kIsSanitized ? 8 : 3)) {
      context.fail(fmt::format("init took {:.1f} s", took));
    }
    exercise(context, {.kind = Kind::kAllReduce, .count = 1000}, comm);
    for (const int fd : sockets) close(fd);
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

INSTANTIATE_TEST_SUITE_P(All, Strangers, testing::ValuesIn(strangers()),
                         [](const auto& tested) { return tested.param.title; });

// The control plane goes on listening, or not, after init: either way strangers are no failure.
TEST(StrangersLater, DoNotDisturbACommunicator) {
  runRanks(Setting{Launch::kProcesses, 2}, [](RankContext& context) {
    std::vector<int> sockets;
    for (const auto& port : listeningPorts(getpid())) {
      for (int i = 0; i < 20; ++i) {
        const int fd = connectTo(port);
        if (fd < 0) continue;
        sendAll(fd, "GET / HTTP/1.1\r\n\r\n", 18);
        sockets.push_back(fd);
      }
    }
    for (uint32_t i = 0; i < 100; ++i) {
      exercise(context, {.kind = Kind::kAllReduce, .count = 1000, .seed = i});
    }
    for (const int fd : sockets) close(fd);
  });
}

// What strangers may say to UCX, whose connections begin with a number that everybody knows. A
// length that can not be, which ends the process if UCX reads it; the beginning of a connection as
// UCX 1.13 makes it, followed by nonsense; less than a beginning; nothing.
constexpr uint64_t kUcxMagic = 0xCAFEBABE12345678;

template <typename T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::vector<std::string> wordsToUcx(const Port& port) {
  std::string badLength;
  append(badLength, kUcxMagic);
  badLength += '\x20';
  append(badLength, uint32_t{0xfffffff0});
  badLength.append(1000, 'x');

  std::string request;
  append(request, kUcxMagic);
  request += '\x20';
  append(request, uint32_t{29});
  request += '\x01';
  request.append(12, '\0');
  sockaddr_in self{};
  self.sin_family = AF_INET;
  self.sin_addr.s_addr = port.address;
  self.sin_port = htons(static_cast<uint16_t>(port.number ^ 1));
  append(request, self);
  const std::string nonsense = request + std::string(3000, '\x7f');
  return {badLength, request, nonsense, badLength.substr(0, 5), "GET / HTTP/1.1\r\n\r\n", ""};
}

// UCX listens at single addresses, and the control plane at all.
std::vector<Port> ucxPorts() {
  std::vector<Port> ports = listeningPorts(getpid());
  std::erase_if(ports, [](const Port& port) { return port.address == 0; });
  return ports;
}

bool isEstablished(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  return getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) == 0;
}

RunOptions overUcx() {
  RunOptions options;
  options.setting = {Launch::kProcesses, 2};
  options.environment = {{"TUTTI_TRANSPORTS", "ucx"}};
  return options;
}

bool hasUcx() {
  for (const auto* backend : transports::builtinBackends()) {
    if (backend->name() == "ucx") return dlopen("libucp.so.0", RTLD_LAZY | RTLD_LOCAL) != nullptr;
  }
  return false;
}

// They come as soon as there is a port, say what they have to, and stay.
void crowd(const std::atomic<bool>& isOver, std::vector<int>& sockets) {
  std::map<Port, int> visits;
  while (!isOver) {
    for (const Port& port : ucxPorts()) {
      if (++visits[port] > 20) continue;
      for (const std::string& words : wordsToUcx(port)) {
        const int fd = connectTo(port, SOCK_NONBLOCK);
        if (fd < 0) continue;
        sendAll(fd, words.data(), words.size());
        sockets.push_back(fd);
      }
    }
  }
}

// The ports are open for milliseconds, so they may come too late; not every time.
TEST(StrangersAtUcx, DoNotDisturbInit) {
  if (!hasUcx()) GTEST_SKIP() << "no UCX";
  RunOptions options = overUcx();
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    size_t visitors = 0;
    for (uint32_t round = 0; round < 6; ++round) {
      const tuttiUniqueId id = context.newId();
      std::atomic<bool> isOver{false};
      std::vector<int> sockets;
      std::thread strangers([&] { crowd(isOver, sockets); });
      tuttiComm_t comm = nullptr;
      context.doing("init");
      const auto result = tuttiCommInitRank(&comm, context.size(), id, context.rank());
      isOver = true;
      strangers.join();
      TUTTI_REQUIRE(context, result);
      visitors += sockets.size();
      for (uint32_t i = 0; i < 20; ++i) {
        exercise(context, {.kind = Kind::kAllReduce, .count = 1000, .seed = i}, comm);
      }
      // Those who came in were cut off.
      for (const int fd : sockets) {
        char byte = 0;
        TUTTI_CHECK(context, recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || !isEstablished(fd));
        close(fd);
      }
      TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
    }
    TUTTI_CHECK(context, visitors > 0);
  });
}

// A crowd at the ports of a running communicator: nobody comes in.
TEST(StrangersAtUcx, DoNotComeInLater) {
  if (!hasUcx()) GTEST_SKIP() << "no UCX";
  runRanks(overUcx(), [](RankContext& context) {
    const auto ports = ucxPorts();
    TUTTI_CHECK(context, !ports.empty());
    std::vector<int> sockets;
    for (const Port& port : ports) {
      for (int i = 0; i < 1000 / static_cast<int>(ports.size()); ++i) {
        const int fd = connectTo(port, SOCK_NONBLOCK);
        if (fd >= 0) sockets.push_back(fd);
      }
    }
    const int64_t start = nowNs();
    for (uint32_t i = 0;; ++i) {
      std::vector<int32_t> data(1000, static_cast<int32_t>(i));
      // As often on both ranks: the sum says whether one of them has enough.
      data[0] = secondsSince(start) < 1.2 ? 0 : 1;
      TUTTI_REQUIRE(context, tuttiAllReduce(data.data(), data.data(), data.size(), tuttiInt32,
                                            tuttiSum, context.comm(), nullptr));
      TUTTI_CHECK(context, data[999] == static_cast<int32_t>(2 * i));
      if (data[0] > 0) break;
    }
    TUTTI_CHECK(context, sockets.size() >= 900);
    for (const int fd : sockets) {
      TUTTI_CHECK(context, !isEstablished(fd));
      close(fd);
    }
    exercise(context, {.kind = Kind::kAllReduce, .count = 100000});
  });
}

std::string freePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) return "29617";
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return std::to_string(ntohs(address.sin_port));
}

// What every process gets from its launcher; TUTTI_RANK is set by the rank itself.
RunOptions launched(int size) {
  RunOptions options;
  options.setting = {Launch::kProcesses, size};
  options.makesComm = false;
  options.environment = {{"TUTTI_SIZE", std::to_string(size)},
                         {"TUTTI_ADDR", "127.0.0.1:" + freePort()},
                         {"TUTTI_SECRET", "a secret of this test"}};
  return options;
}

TEST(Launcher, GivesEveryProcessTheSameId) {
  runRanks(launched(3), [](RankContext& context) {
    setenv("TUTTI_RANK", std::to_string(context.rank()).c_str(), 1);
    tuttiLauncherInfo_t info;
    TUTTI_REQUIRE(context, tuttiGetLauncherInfo(&info));
    TUTTI_CHECK(context, info.rank == context.rank());
    TUTTI_CHECK(context, info.size == 3);
    TUTTI_CHECK(context, std::string(info.launcher) == "tutti");
    tuttiUniqueId id;
    TUTTI_REQUIRE(context, tuttiGetLauncherUniqueId(&id, "first"));
    tuttiComm_t comm = nullptr;
    TUTTI_REQUIRE(context, tuttiCommInitRank(&comm, info.size, id, info.rank));
    exercise(context, {.kind = Kind::kAllReduce, .count = 100}, comm);
    TUTTI_REQUIRE(context, tuttiCommDestroy(comm));
  });
}

TEST(Launcher, ASizeThatDisagreesIsAnError) {
  runRanks(launched(2), [](RankContext& context) {
    setenv("TUTTI_RANK", std::to_string(context.rank()).c_str(), 1);
    tuttiUniqueId id;
    TUTTI_REQUIRE(context, tuttiGetLauncherUniqueId(&id, nullptr));
    tuttiComm_t comm = nullptr;
    TUTTI_REQUIRE_ERROR(context, tuttiCommInitRank(&comm, 3, id, context.rank()), tuttiInvalidUsage,
                        "TUTTI-E0111");
    requireText(context, "3 ranks");
    requireText(context, "2 processes");
  });
}

TEST(Launcher, VariablesThatContradictAreAnError) {
  RunOptions options = launched(1);
  options.environment.emplace_back("TUTTI_RANK", "5");
  runRanks(options, [](RankContext& context) {
    tuttiLauncherInfo_t info;
    TUTTI_REQUIRE_ERROR(context, tuttiGetLauncherInfo(&info), tuttiInvalidUsage, "TUTTI-E0112");
    requireText(context, "TUTTI_RANK");
  });
}

}  // namespace
}  // namespace tutti::test
