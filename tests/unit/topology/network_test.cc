#include "topology/network.h"

#include <gtest/gtest.h>

#include <string>

#include "src/base/errors.h"
#include "topology/graph.h"

namespace tutti::topology {
namespace {

NetworkSpec parsed(std::string_view text) {
  auto result = parseNetwork(text);
  EXPECT_TRUE(result.isOk()) << result.status().toString();
  return result.isOk() ? result.take() : NetworkSpec{};
}

TEST(Network, Star) {
  EXPECT_EQ(parsed("star").nicCapacity, 0);
  EXPECT_EQ(parsed("star:50").nicCapacity, 50 * kGigabyte);
  EXPECT_EQ(parsed("star:nic=12.5,latency=5us").latencyNs, 5000);
  EXPECT_EQ(parsed("star"), NetworkSpec{});
}

TEST(Network, RatesHaveUnits) {
  for (const char* text :
       {"star:12.5", "star:12.5GB", "star:12.5GB/s", "star:12500MB", "star:100Gb", "star:100Gb/s",
        "star:100Gbps", "star:100Gbit", "star:100000Mb/s", "star:0.1Tb", "star:0.0125TB"}) {
    EXPECT_EQ(parsed(text).nicCapacity, 12'500'000) << text;
  }
  EXPECT_EQ(parsed("star:20Mb").nicCapacity, 2'500);
}

TEST(Network, RailsAndFatTree) {
  EXPECT_EQ(parsed("rails:50").kind, NetworkKind::kRails);
  EXPECT_EQ(parsed("rails:50").upCapacity, 0);
  EXPECT_EQ(parsed("rails:up=200").upCapacity, 200 * kGigabyte);
  const NetworkSpec fat = parsed("fat:8:100:400");
  EXPECT_EQ(fat.leafMachines, 8);
  EXPECT_EQ(fat.nicCapacity, 100 * kGigabyte);
  EXPECT_EQ(fat.upCapacity, 400 * kGigabyte);
  EXPECT_EQ(fat, parsed("fat:leaf=8,nic=100,up=400"));
  EXPECT_EQ(parsed("fat:over=1.5,leaf=4").over, 1500);
}

TEST(Network, SitesInPairsOrAtACore) {
  const NetworkSpec triangle = parsed("wan:AB=10Gb,BC=40Gb,CA=100Gb,nic=50");
  EXPECT_EQ(triangle.sites, (std::vector<std::string>{"A", "B", "C"}));
  EXPECT_EQ(triangle.siteLinks,
            (std::vector<SiteLink>{{0, 1, 1'250'000}, {1, 2, 5'000'000}, {2, 0, 12'500'000}}));
  EXPECT_EQ(triangle.nicCapacity, 50 * kGigabyte);
  EXPECT_EQ(triangle.latencyNs, 10'000'000);
  EXPECT_EQ(parsed("wan:A=1,B=2").siteLinks,
            (std::vector<SiteLink>{{0, kCore, kGigabyte}, {1, kCore, 2 * kGigabyte}}));
  EXPECT_EQ(parsed("wan:oslo-rome=1,rome-BA=1").sites,
            (std::vector<std::string>{"oslo", "rome", "BA"}));
}

TEST(Network, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "must begin with star"},
      {"ring:5", "must begin with star"},
      {"star:", ""},  // no options: fine
      {"star:0", "no rate"},
      {"star:-5", "no rate"},
      {"star:five", "no rate"},
      {"star:5Q", "no rate"},
      {"star:99999999999", "no rate"},
      {"star:up=5", "no use for \"up\": its options are nic, latency"},
      {"star:1:2", "colon too many"},
      {"star:latency=5", "no time"},
      {"star:latency=99999999s", "no time"},
      {"fat:8", "needs the number of machines"},
      {"fat:leaf=8", "either up=RATE"},
      {"fat:leaf=8,up=5,over=2", "either up=RATE"},
      {"fat:leaf=0,up=5", "no number of machines"},
      {"fat:leaf=1.5,up=5", "no number of machines"},
      {"fat:leaf=2,over=0", "no ratio"},
      {"fat:8:100", "colon too many"},
      {"wan", "needs links between sites"},
      {"wan:AA=5", "no pair of sites"},
      {"wan:-x=5", "no pair of sites"},
      {"wan:x-=5", "no pair of sites"},
      {"wan:AB=x", "no rate"}};
  for (const auto& [text, part] : wrong) {
    const auto result = parseNetwork(text);
    if (*part == '\0') {
      EXPECT_TRUE(result.isOk()) << text;
      continue;
    }
    ASSERT_FALSE(result.isOk()) << text;
    EXPECT_EQ(result.status().errorId(), base::kErrInvalidArgument);
    EXPECT_NE(result.status().text().find(part), std::string::npos) << result.status().toString();
  }
}

TEST(Network, IsToldInWords) {
  EXPECT_EQ(toString(parsed("star:50")), "one switch, 50 GB/s for each NIC");
  EXPECT_EQ(toString(parsed("rails")), "rails, each NIC at its own speed");
  EXPECT_EQ(toString(parsed("rails:50,up=200")),
            "rails joined by a core (200 GB/s each), 50 GB/s for each NIC");
  EXPECT_EQ(toString(parsed("fat:leaf=8,over=2")),
            "a fat tree with 8 machines at a leaf (up 2 to 1), each NIC at its own speed");
  EXPECT_EQ(toString(parsed("wan:AB=10Gb,C=1")),
            "sites A-B 1.25 GB/s, C-core 1 GB/s, each NIC at its own speed");
}

}  // namespace
}  // namespace tutti::topology
