#include "topology/picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/sanitized.h"
#include "tests/unit/topology/graphs.h"
#include "topology/compose.h"
#include "topology/json.h"

namespace tutti::topology {
namespace {

// Two hosts; a bridge with g0, g1 and nic0 at the first, a chain of two bridges with g2 at the
// second, g3 and nic1 right at it; g0 and g1 linked.
Topology makeMachine() {
  Topology machine{.name = "machine", .nodes = {}, .links = {}, .resources = {}};
  for (const char* id : {"g0", "g1", "g2", "g3"}) addRank(machine, id);
  addForwarder(machine, "nic0", NodeKind::kNic);
  addForwarder(machine, "nic1", NodeKind::kNic);
  for (const char* id : {"b0", "b1", "b2"}) addForwarder(machine, id, NodeKind::kBridge);
  for (const char* id : {"h0", "h1"}) addForwarder(machine, id, NodeKind::kHost);
  const auto join = [&](const char* a, const char* b, int64_t gigabytes, LinkKind kind) {
    machine.addDuplex({.from = machine.find(a),
                       .to = machine.find(b),
                       .capacity = gigabytes * kGigabyte,
                       .kind = kind});
  };
  join("g0", "g1", 5, LinkKind::kDevice);
  join("g0", "b0", 24, LinkKind::kPci);
  join("g1", "b0", 24, LinkKind::kPci);
  join("nic0", "b0", 12, LinkKind::kPci);
  join("b0", "h0", 24, LinkKind::kPci);
  join("h0", "h1", 16, LinkKind::kSocket);
  join("b1", "h1", 24, LinkKind::kPci);
  join("b2", "b1", 20, LinkKind::kPci);
  join("g2", "b2", 24, LinkKind::kPci);
  join("g3", "h1", 64, LinkKind::kChip);
  join("nic1", "b1", 12, LinkKind::kPci);
  return machine;
}

Path pathOf(const Topology& topology, std::string_view from, std::string_view to) {
  return bestPaths(topology, topology.find(from))[static_cast<size_t>(topology.find(to))];
}

TEST(Paths, AreOfTheNearestKind) {
  const Topology machine = makeMachine();
  const auto path = [&](std::string_view from, std::string_view to) {
    return pathOf(machine, from, to);
  };
  const auto expected = [](PathKind kind, int64_t gigabytes) {
    return Path{kind, gigabytes * kGigabyte};
  };
  EXPECT_EQ(path("g0", "g0"), (Path{PathKind::kSelf, 0}));
  EXPECT_EQ(path("g0", "g1"), expected(PathKind::kDevice, 5)) << "nearer, if narrower";
  EXPECT_EQ(path("g1", "nic0"), expected(PathKind::kPix, 12));
  EXPECT_EQ(path("g2", "nic1"), expected(PathKind::kPxb, 12));
  EXPECT_EQ(path("g2", "g3"), expected(PathKind::kPhb, 20));
  EXPECT_EQ(path("g3", "g2"), expected(PathKind::kPhb, 20));
  EXPECT_EQ(path("g3", "h1"), expected(PathKind::kChip, 64));
  EXPECT_EQ(path("g0", "g2"), expected(PathKind::kSys, 16));
  EXPECT_EQ(path("nic0", "nic1"), expected(PathKind::kSys, 12));
}

TEST(Paths, AreTheWidestOfTheirKind) {
  Topology topology;
  addRank(topology, "a");
  addRank(topology, "b");
  for (const char* id : {"x", "y", "z"}) addForwarder(topology, id);
  const auto join = [&](int a, int b, int64_t capacity) {
    topology.addLink({.from = a, .to = b, .capacity = capacity, .kind = LinkKind::kDevice});
  };
  join(0, 2, 9);
  join(2, 1, 3);
  join(0, 3, 7);
  join(3, 4, 5);
  join(4, 1, 6);
  EXPECT_EQ(pathOf(topology, "a", "b"), (Path{PathKind::kDevice, 5}));
  EXPECT_EQ(pathOf(topology, "b", "a").kind, PathKind::kNone);
}

TEST(Paths, LeadThroughRanksOnlyWhereTheyMust) {
  Topology ring;
  for (const char* id : {"a", "b", "c", "d"}) addRank(ring, id);
  for (int i = 0; i < 4; ++i) {
    ring.addDuplex({.from = i, .to = (i + 1) % 4, .capacity = 4 + i, .kind = LinkKind::kDevice});
  }
  EXPECT_EQ(pathOf(ring, "a", "b").kind, PathKind::kDevice);
  EXPECT_EQ(pathOf(ring, "a", "c"), (Path{PathKind::kVia, 6}));
}

TEST(Paths, CrossTheNetwork) {
  const Topology machine = makeMachine();
  const std::vector<const Topology*> two(2, &machine);
  const auto made = compose(two, *parseNetwork("star:50"));
  ASSERT_TRUE(made.isOk());
  EXPECT_EQ(pathOf(*made, "m0/g0", "m1/g0"), (Path{PathKind::kNet, 12 * kGigabyte}));
  EXPECT_EQ(pathOf(*made, "m0/g0", "m0/g2").kind, PathKind::kSys);
}

std::vector<std::string> linesOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Matrix, ShowsKindsAndRates) {
  const std::string text = toMatrix(makeMachine());
  EXPECT_NE(text.find("ranks to ranks, kind and GB/s\n"), std::string::npos) << text;
  EXPECT_NE(text.find("0  g0       X   DEV 5  SYS 16  SYS 16\n"), std::string::npos) << text;
  EXPECT_NE(text.find("3  g3  SYS 12  PHB 12\n"), std::string::npos) << text;
  EXPECT_NE(text.find("SYS   between hosts"), std::string::npos) << text;
  EXPECT_EQ(text.find("NET   "), std::string::npos) << "a legend for what is there: " << text;
  EXPECT_NE(text.find("NICs:  N0 nic0  N1 nic1\n"), std::string::npos) << text;
}

TEST(Matrix, LinesUpForSixteenRanks) {
  const std::string text = toMatrix(makeStar(16, 300 * kGigabyte));
  const std::vector<std::string> lines = linesOf(text);
  ASSERT_EQ(lines[0], "ranks to ranks, kind");
  for (size_t table : {1, 20}) {
    EXPECT_LE(lines[table].size(), 100u);
    for (size_t i = table; i < table + 17; ++i) EXPECT_EQ(lines[i].size(), lines[table].size());
  }
  EXPECT_EQ(lines[19], "ranks to ranks, GB/s");
}

TEST(Matrix, ShowsTheFirstOfMany) {
  const std::string text = toMatrix(makeStar(40, kGigabyte));
  EXPECT_NE(text.find("Only the first 32 of 40 ranks are shown."), std::string::npos);
  EXPECT_EQ(text.find("g32"), std::string::npos);
}

TEST(Dot, HasClustersAndQuotes) {
  Topology star = makeStar(2, kGigabyte);
  star.name = "a \"name\"";
  star.nodes[0].host = "h\\0";
  star.links.pop_back();
  const std::string dot = toDot(star);
  EXPECT_EQ(dot.rfind("digraph \"a \\\"name\\\"\" {", 0), 0u) << dot;
  EXPECT_NE(dot.find("subgraph \"cluster h\\\\0\""), std::string::npos) << dot;
  EXPECT_NE(dot.find("n0 -> n2 [label=\"1\""), std::string::npos) << dot;
  EXPECT_NE(dot.find("n1 -> n2 [label=\"1\" color=\"#0891b2\" penwidth=1.2 dir=forward]"),
            std::string::npos)
      << dot;
  EXPECT_EQ(std::count(dot.begin(), dot.end(), '{'), std::count(dot.begin(), dot.end(), '}'));
}

struct Found {
  double x, y, width, height;
};

std::vector<Found> rects(const std::string& svg, const std::string& radius) {
  const std::regex pattern(
      "<rect x=\"([-0-9.]+)\" y=\"([-0-9.]+)\" width=\"([-0-9.]+)\" "
      "height=\"([-0-9.]+)\" rx=\"" +
      radius + "\"");
  std::vector<Found> found;
  for (std::sregex_iterator at(svg.begin(), svg.end(), pattern), end; at != end; ++at) {
    found.push_back(
        {std::stod((*at)[1]), std::stod((*at)[2]), std::stod((*at)[3]), std::stod((*at)[4])});
  }
  return found;
}

bool overlap(const Found& a, const Found& b) {
  constexpr double kRounded = 0.2;  // figures have one digit after the point
  return a.x + kRounded < b.x + b.width && b.x + kRounded < a.x + a.width &&
         a.y + kRounded < b.y + b.height && b.y + kRounded < a.y + a.height;
}

// Every element that opens closes, in order.
void expectBalanced(const std::string& svg) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)[^>]*?(/?)>");
  for (std::sregex_iterator at(svg.begin(), svg.end(), tag), end; at != end; ++at) {
    if ((*at)[3].length() > 0) continue;
    if ((*at)[1].length() == 0) {
      open.push_back((*at)[2]);
      continue;
    }
    ASSERT_FALSE(open.empty());
    EXPECT_EQ(open.back(), (*at)[2].str());
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

// Boxes and labels lie inside of the drawing and apart.
void expectReadable(const Topology& topology) {
  const std::string svg = toSvg(topology);
  SCOPED_TRACE(topology.name);
  EXPECT_EQ(svg, toSvg(topology));
  expectBalanced(svg);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf\""), std::string::npos);
  const std::regex frame("width=\"(\\d+)\" height=\"(\\d+)\"");
  std::smatch size;
  ASSERT_TRUE(std::regex_search(svg, size, frame));
  std::vector<Found> all = rects(svg, "6");
  EXPECT_EQ(all.empty(), topology.nodes.empty());
  const std::vector<Found> labels = rects(svg, "3");
  all.insert(all.end(), labels.begin(), labels.end());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_GE(all[i].x, 0);
    EXPECT_GE(all[i].y, 0);
    EXPECT_GT(all[i].width, 0);
    EXPECT_LE(all[i].x + all[i].width, std::stod(size[1]));
    EXPECT_LE(all[i].y + all[i].height, std::stod(size[2]));
    for (size_t k = 0; k < i; ++k) {
      EXPECT_FALSE(overlap(all[i], all[k])) << all[i].x << " " << all[i].y << " over " << all[k].x
                                            << " " << all[k].y << " width " << all[k].width;
    }
  }
}

Topology composed(const Topology& machine, size_t copies, std::string_view network) {
  const std::vector<const Topology*> machines(copies, &machine);
  auto made = compose(machines, *parseNetwork(network));
  EXPECT_TRUE(made.isOk()) << made.status().toString();
  if (!made.isOk()) return {};
  made->name = std::string(network);
  return made.take();
}

TEST(Svg, IsReadableForMachinesAndClusters) {
  const Topology machine = makeMachine();
  expectReadable(machine);
  expectReadable(makeStar(8, 300 * kGigabyte));
  expectReadable(composed(machine, 2, "rails:50"));
  expectReadable(composed(machine, 3, "wan:AB=10Gb,BC=40Gb,CA=100Gb"));
  expectReadable(composed(machine, 5, "fat:leaf=2,over=2"));
  expectReadable(composed(machine, 7, "rails:up=10"));
  expectReadable(composed(makeStar(100, 5), 2, "rails:1"));
  expectReadable(composed(makeStar(3, 5), 4, "wan:A=1,B=2,nic=5"));
}

TEST(Svg, IsReadableForTheSamples) {
  size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(TUTTI_SAMPLES)) {
    if (file.path().extension() != ".json") continue;
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const auto sample = parseJson(text.str(), file.path().string());
    ASSERT_TRUE(sample.isOk()) << sample.status().toString();
    EXPECT_TRUE(check(*sample).isOk()) << check(*sample).toString();
    EXPECT_EQ(sample->name, file.path().stem());
    expectReadable(*sample);
    expectReadable(composed(*sample, 2, "rails:50"));
    ++count;
  }
  EXPECT_GE(count, 5u);
}

TEST(Svg, SaysWhatIsInABox) {
  Topology star = makeStar(1, kGigabyte);
  star.name = "<&>";
  star.nodes[0] = {
      .id = "h/a<b", .kind = NodeKind::kRank, .host = "h", .vendor = "V&V", .model = "9"};
  const std::string svg = toSvg(star);
  EXPECT_NE(svg.find(">&lt;&amp;&gt;</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find(">rank 0</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find(">a&lt;b</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find(">h, 1 x V&amp;V 9</text>"), std::string::npos) << svg;
  EXPECT_EQ(svg.find("<&>"), std::string::npos);
}

TEST(Svg, DrawsAlikeMachinesOnce) {
  const Topology machine = makeMachine();
  Topology cluster = composed(machine, 128, "rails:50");
  std::string svg = toSvg(cluster);
  EXPECT_NE(svg.find("m0 and 127 alike"), std::string::npos);
  EXPECT_NE(svg.find("512 ranks, 128 machines, 256 NICs"), std::string::npos);
  EXPECT_EQ(svg.find("rank 5<"), std::string::npos);
  cluster.links.pop_back();  // of the last machine
  svg = toSvg(cluster);
  EXPECT_NE(svg.find("m0 and 126 alike"), std::string::npos);
  EXPECT_NE(svg.find(">m127<"), std::string::npos);
  expectReadable(cluster);
}

TEST(Svg, DrawsAnythingAtAll) {
  expectReadable({});
  Topology odd{.name = "odd", .nodes = {}, .links = {}, .resources = {}};
  for (const NodeKind kind :
       {NodeKind::kSwitch, NodeKind::kNic, NodeKind::kBridge, NodeKind::kHost}) {
    for (int i = 0; i < 2; ++i) {
      addForwarder(odd, std::string(name(kind)) + std::to_string(i), kind);
    }
  }
  expectReadable(odd);
  odd.nodes[0].host = odd.nodes[4].host = "only some";
  expectReadable(odd);
  std::mt19937_64 random(11);
  for (int round = 0; round < (test::kIsSanitized ? 20 : 60); ++round) {
    Topology topology{
        .name = "random " + std::to_string(round), .nodes = {}, .links = {}, .resources = {}};
    const size_t count = 1 + random() % 24;
    for (size_t i = 0; i < count; ++i) {
      topology.addNode({.id = "n" + std::to_string(i),
                        .kind = static_cast<NodeKind>(random() % 5),
                        .host = random() % 3 == 0 ? "" : "h" + std::to_string(random() % 3)});
    }
    for (size_t i = random() % (3 * count); i-- > 0;) {
      const auto from = static_cast<NodeIndex>(random() % count);
      const auto to = static_cast<NodeIndex>(random() % count);
      if (from == to) continue;
      topology.addDuplex({.from = from,
                          .to = to,
                          .capacity = 1 + static_cast<int64_t>(random() % 900'000'000),
                          .kind = static_cast<LinkKind>(random() % 6)});
    }
    expectReadable(topology);
    toMatrix(topology);
    toDot(topology);
  }
}

}  // namespace
}  // namespace tutti::topology
