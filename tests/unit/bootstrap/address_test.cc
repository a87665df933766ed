// Addresses, interfaces, unique ids and messages: the values of the bootstrap.
#include <gtest/gtest.h>

#include "src/base/errors.h"
#include "src/base/interfaces.h"
#include "src/bootstrap/interfaces.h"
#include "src/bootstrap/messages.h"
#include "src/bootstrap/rendezvous.h"
#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {
namespace {

Address ip(std::string_view text) {
  auto list = resolveAddress(text);
  EXPECT_TRUE(list.isOk()) << text;
  Address address = list->front();
  address.port = 0;
  return address;
}
Address v4(std::string_view text) { return ip(std::string(text) + ":1"); }
Address v6(std::string_view text) { return ip("[" + std::string(text) + "]:1"); }

TEST(Address, ParsesAndPrints) {
  EXPECT_EQ(resolveAddress("10.1.2.3:80")->front().toString(), "10.1.2.3:80");
  EXPECT_EQ(resolveAddress("[fd00::1]:8080")->front().toString(), "[fd00::1]:8080");
  for (const char* bad : {"", "host", ":80", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:70000",
                          "fd00::1:80", "10.0.0.1:0"}) {
    EXPECT_EQ(resolveAddress(bad).status().errorId(), base::kErrBadAddress) << bad;
  }
  EXPECT_TRUE(v4("127.0.0.1").isLoopback());
  EXPECT_TRUE(v6("::1").isLoopback());
  EXPECT_FALSE(v4("10.0.0.1").isLoopback());
}

TEST(Address, SocketRoundTrip) {
  for (Address address : {v4("10.1.2.3"), v6("fd00::1")}) {
    address.port = 4711;
    sockaddr_storage storage;
    address.toSocket(storage);
    EXPECT_EQ(Address::fromSocket(reinterpret_cast<sockaddr*>(&storage)), address);
  }
  sockaddr_storage storage;
  v6("::ffff:10.1.2.3").toSocket(storage);
  EXPECT_EQ(Address::fromSocket(reinterpret_cast<sockaddr*>(&storage)), v4("10.1.2.3"));
}

const std::vector<Interface> kHost = {
    {"lo", v4("127.0.0.1"), true},        {"docker0", v4("172.17.0.1"), true},
    {"eth0", v4("10.0.0.5"), true},       {"eth0", v6("fd00::5"), true},
    {"eth1", v4("192.168.1.5"), true},    {"ib0", v4("10.9.0.5"), false},
    {"virbr0", v4("192.168.122.1"), true}};

std::vector<std::string> namesOf(const base::Result<std::vector<Address>>& addresses) {
  std::vector<std::string> names;
  for (const Address& address : *addresses) names.push_back(address.toString());
  return names;
}
using Names = std::vector<std::string>;

TEST(Interfaces, PrefersRealOnesAndEndsWithLoopback) {
  EXPECT_EQ(namesOf(chooseAddresses(kHost, "", "", 4)),
            (Names{"10.0.0.5:0", "192.168.1.5:0", "[fd00::5]:0", "127.0.0.1:0"}));
  EXPECT_EQ(namesOf(chooseAddresses(kHost, "", "AF_INET6", 4)),
            (Names{"[fd00::5]:0", "127.0.0.1:0"}));
  EXPECT_EQ(namesOf(chooseAddresses(kHost, "=eth1", "", 4)),
            (Names{"192.168.1.5:0", "127.0.0.1:0"}));
  EXPECT_EQ(namesOf(chooseAddresses(kHost, "docker", "", 4)),
            (Names{"172.17.0.1:0", "127.0.0.1:0"}));
  EXPECT_EQ(namesOf(chooseAddresses(kHost, "lo", "", 4)), (Names{"127.0.0.1:0"}));
}

TEST(Interfaces, TakesBridgesOnlyIfThereIsNothingElse) {
  const std::vector<Interface> poor = {kHost[0], kHost[1]};
  EXPECT_EQ(namesOf(chooseAddresses(poor, "", "", 4)), (Names{"172.17.0.1:0", "127.0.0.1:0"}));
}

TEST(Interfaces, NoneLeftIsAnErrorThatListsThem) {
  const auto chosen = chooseAddresses(kHost, "ib", "", 4);
  ASSERT_FALSE(chosen.isOk());
  EXPECT_EQ(chosen.status().errorId(), base::kErrNoInterface);
  EXPECT_NE(chosen.status().text().find("ib0 (down)"), std::string_view::npos)
      << chosen.status().text();
}

TEST(Interfaces, ThisHostHasSome) { EXPECT_FALSE(listInterfaces()->empty()); }

TEST(UniqueId, RoundTripAndDamage) {
  IdContent content;
  content.isServedByRankZero = true;
  content.addresses = {v4("10.0.0.1"), v6("fd00::1")};
  content.secret = base::randomKey();
  content.hostKey = 77;
  const UniqueId id = encodeUniqueId(content);
  const auto back = decodeUniqueId(id);
  ASSERT_TRUE(back.isOk());
  EXPECT_TRUE(back->isServedByRankZero);
  EXPECT_EQ(back->addresses, content.addresses);
  EXPECT_EQ(back->secret, content.secret);
  EXPECT_EQ(back->hostKey, 77u);
  for (size_t i = 0; i < kUniqueIdBytes; ++i) {
    UniqueId damaged = id;
    damaged.bytes[i] ^= std::byte{0x10};
    EXPECT_FALSE(decodeUniqueId(damaged).isOk()) << i;
  }
  UniqueId newer = id;
  newer.bytes[4] = std::byte{kProtocolVersion + 1};
  EXPECT_EQ(decodeUniqueId(newer).status().errorId(), base::kErrProtocolVersion);
}

TEST(Messages, RegistrationRoundTripAndTruncation) {
  Registration registration;
  registration.identity = {3, 4711, "node"};
  registration.size = 8;
  registration.idCount = 2;
  registration.idIndex = 1;
  registration.fanOut = 32;
  registration.door = {base::randomKeyId(), 5, {v4("10.0.0.1")}};
  const std::string bytes = registration.encode();
  const auto back = Registration::decode(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->identity.toString(), "process 4711 on host node");
  EXPECT_EQ(back->door.addresses, registration.door.addresses);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Registration::decode(std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(Registration::decode(bytes + "x").has_value());
  registration.identity.rank = 8;
  EXPECT_FALSE(Registration::decode(registration.encode()).has_value());
}

TEST(Messages, Ranks) {
  EXPECT_EQ(describeRanks({2}), "rank 2");
  EXPECT_EQ(describeRanks({2, 5}), "ranks 2, 5");
  std::vector<int> many(40);
  for (int i = 0; i < 40; ++i) many[static_cast<size_t>(i)] = i;
  EXPECT_NE(describeRanks(many).find("(40 in all)"), std::string::npos);
  EXPECT_FALSE(MissingRanks::decode(std::string("\0\0\0\0\xff\xff\xff\xff", 8)).has_value());
}

TEST(Rendezvous, SharesCoverAllRanksOnce) {
  for (const int size : {1, 2, 7, 64, 1000}) {
    for (int count = 1; count <= std::min(size, 9); ++count) {
      int next = 0;
      for (int index = 0; index < count; ++index) {
        const RankShare share = shareOf(index, count, size);
        EXPECT_EQ(share.first, next);
        EXPECT_LT(share.first, share.last);
        next = share.last;
      }
      EXPECT_EQ(next, size);
    }
  }
}

}  // namespace
}  // namespace tutti::bootstrap
