#include "transports/tcp/paths.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tutti::transports::tcp {
namespace {

Place place(const std::string& text) {
  const auto read = Place::parse(text);
  EXPECT_TRUE(read.has_value()) << text;
  return read.value_or(Place{});
}

Home home(const std::string& host, const std::vector<std::string>& places) {
  Home made{host, 4711, {}};
  for (const auto& each : places) made.places.push_back(place(each));
  return made;
}

std::vector<std::string> texts(const std::vector<Path>& paths) {
  std::vector<std::string> all;
  for (const Path& path : paths) {
    all.push_back((path.from.has_value() ? path.from->address() + " to " : "to ") +
                  path.to.address());
  }
  return all;
}

base::NetworkInterface interface(const std::string& name, const char* address, bool isUp = true) {
  base::NetworkInterface made;
  made.name = name;
  made.isUp = isUp;
  made.isLoopback = name == "lo";
  made.prefixBits = 24;
  auto& v4 = reinterpret_cast<sockaddr_in&>(made.address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(made.address);
  if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, address, &v6.sin6_addr), 1) << address;
    v6.sin6_family = AF_INET6;
  }
  return made;
}

std::vector<std::string> offered(const std::vector<base::NetworkInterface>& interfaces,
                                 std::string_view list, std::string_view family = "") {
  std::vector<std::string> all;
  for (const Place& each : placesOf(interfaces, list, family)) all.push_back(each.address());
  return all;
}

using Strings = std::vector<std::string>;

TEST(TcpPaths, TextsComeBackAsTheyWere) {
  const Home before = home("abc:1", {"10.0.0.1/24@10000%eth0", "fd00::1/64@0%ib0"});
  const auto after = Home::parse(before.toText());
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->host, before.host);
  EXPECT_EQ(after->port, before.port);
  EXPECT_EQ(after->places, before.places);
}

TEST(TcpPaths, GarbageIsRefused) {
  for (const char* text :
       {"", "{}", "[]", "{\"host\":1,\"port\":1,\"places\":[]}",
        "{\"host\":\"a\",\"port\":-1,\"places\":[]}", "{\"host\":\"a\",\"port\":1,\"places\":[3]}",
        "{\"host\":\"a\",\"port\":1,\"places\":[\"10.0.0.1\"]}"}) {
    EXPECT_FALSE(Home::parse(text).has_value()) << text;
  }
  for (const char* text : {"10.0.0.1/33@1%a", "10.0.0/24@1%a", "10.0.0.1/24%a@1", "10.0.0.1/@1%a",
                           "10.0.0.1/24@x%a", "fd00::1/129@1%a"}) {
    EXPECT_FALSE(Place::parse(text).has_value()) << text;
  }
}

TEST(TcpPaths, OffersOneAddressOfEachInterfaceAndFamily) {
  const std::vector<base::NetworkInterface> all = {
      interface("lo", "127.0.0.1"),        interface("eth0", "10.0.0.1"),
      interface("eth0", "10.0.0.2"),       interface("eth0", "fd00::1"),
      interface("docker0", "172.17.0.1"),  interface("eth1", "10.0.1.1"),
      interface("eth2", "10.0.2.1", false)};
  EXPECT_EQ(offered(all, ""), (Strings{"10.0.0.1", "10.0.1.1", "fd00::1"}));
  EXPECT_EQ(offered(all, "=eth1"), (Strings{"10.0.1.1"}));
  EXPECT_EQ(offered(all, "^eth"), (Strings{"172.17.0.1"}));
  EXPECT_EQ(offered(all, "", "AF_INET6"), (Strings{"fd00::1"}));
  EXPECT_EQ(offered(all, "none"), Strings{});
  EXPECT_EQ(offered({interface("docker0", "172.17.0.1")}, ""), (Strings{"172.17.0.1"}));
}

TEST(TcpPaths, OneHostUsesItsLoopback) {
  const Home a = home("one", {"10.0.0.1/24@10000%eth0"});
  const Paths paths = pathsBetween(a, a, 0);
  EXPECT_EQ(texts(paths.lanes), (Strings{"to 127.0.0.1"}));
  EXPECT_EQ(texts(paths.fallbacks), (Strings{"to 10.0.0.1"}));
  EXPECT_EQ(pathsBetween(a, a, 3).lanes.size(), 3u);
}

TEST(TcpPaths, ALaneForEachSharedNetwork) {
  const Home a = home("a", {"10.0.0.1/24@0%eth0", "10.0.1.1/24@0%eth1", "10.0.9.1/24@0%eth2"});
  const Home b = home("b", {"10.0.1.2/24@0%ens1", "10.0.0.2/24@0%ens0"});
  const Paths paths = pathsBetween(a, b, 0);
  EXPECT_EQ(texts(paths.lanes), (Strings{"10.0.1.1 to 10.0.1.2", "10.0.0.1 to 10.0.0.2"}));
  EXPECT_EQ(texts(paths.fallbacks), (Strings{"to 10.0.1.2", "to 10.0.0.2"}));
}

// Both families of one cable are one lane.
TEST(TcpPaths, NoInterfaceTwice) {
  const Home a = home("a", {"10.0.0.1/24@0%eth0", "fd00::1/64@0%eth0"});
  const Home b = home("b", {"10.0.0.2/24@0%eth0", "fd00::2/64@0%eth0"});
  EXPECT_EQ(texts(pathsBetween(a, b, 0).lanes), (Strings{"10.0.0.1 to 10.0.0.2"}));
}

TEST(TcpPaths, RoutedHostsHaveFallbacksOnly) {
  const Home a = home("a", {"10.0.0.1/24@0%eth0"});
  const Home b = home("b", {"10.0.7.1/24@0%eth0", "10.0.8.1/24@0%eth1"});
  const Paths paths = pathsBetween(a, b, 4);
  EXPECT_TRUE(paths.lanes.empty());
  EXPECT_EQ(texts(paths.fallbacks), (Strings{"to 10.0.7.1", "to 10.0.8.1"}));
}

// As docker0 has on every host.
TEST(TcpPaths, AnAddressThatBothHaveIsNoWay) {
  const Home a = home("a", {"172.17.0.1/16@0%docker0", "10.0.0.1/24@0%eth0"});
  const Home b = home("b", {"172.17.0.1/16@0%docker0", "10.0.0.2/24@0%eth0"});
  const Paths paths = pathsBetween(a, b, 0);
  EXPECT_EQ(texts(paths.lanes), (Strings{"10.0.0.1 to 10.0.0.2"}));
  EXPECT_EQ(texts(paths.fallbacks), (Strings{"to 10.0.0.2"}));
}

TEST(TcpPaths, PrefixesThatEndWithinAByte) {
  const Home a = home("a", {"10.0.0.1/23@0%eth0"});
  EXPECT_EQ(pathsBetween(a, home("b", {"10.0.1.2/23@0%e"}), 0).lanes.size(), 1u);
  EXPECT_EQ(pathsBetween(a, home("b", {"10.0.2.2/23@0%e"}), 0).lanes.size(), 0u);
}

TEST(TcpPaths, FastInterfacesGetSeveralConnections) {
  const auto lanes = [](const std::string& speed, int wanted) {
    const Home a = home("a", {"10.0.0.1/24@" + speed + "%eth0"});
    const Home b = home("b", {"10.0.0.2/24@100000%eth0"});
    return pathsBetween(a, b, wanted).lanes.size();
  };
  EXPECT_EQ(lanes("10000", 0), 1u);
  EXPECT_EQ(lanes("25000", 0), 2u);
  EXPECT_EQ(lanes("400000", 0), 4u);
  EXPECT_EQ(lanes("0", 0), 1u);
  EXPECT_EQ(lanes("400000", 1), 1u);
  EXPECT_EQ(lanes("0", 1000), 16u);
}

}  // namespace
}  // namespace tutti::transports::tcp
