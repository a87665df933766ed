#include "topology/json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "src/base/errors.h"
#include "tests/support/sanitized.h"
#include "tests/unit/topology/graphs.h"

namespace tutti::topology {
namespace {

Topology parsed(std::string_view text) {
  auto result = parseJson(text, "f.json");
  EXPECT_TRUE(result.isOk()) << result.status().toString();
  return result.isOk() ? result.take() : Topology{};
}

TEST(Json, ReadsWhatPeopleWrite) {
  const Topology topology = parsed(R"({"nodes":[{"id":"g0","kind":"rank"},{"id":"g1","kind":"rank"},
      {"id":"s","kind":"switch"}],
      "links":[{"a":"g0","b":"s","gb_per_s":300,"latency_us":1,"duplex":true},
               {"a":"g1","b":"s","gb_per_s":0.0625},
               {"a":"s","b":"g1","gb_per_s":2.5e1,"duplex":false,"kind":"other"}]})");
  ASSERT_EQ(topology.nodes.size(), 3u);
  EXPECT_EQ(topology.nodes[2].kind, NodeKind::kSwitch);
  ASSERT_EQ(topology.links.size(), 5u);
  EXPECT_EQ(topology.links[1], (Link{.from = 2,
                                     .to = 0,
                                     .capacity = 300 * kGigabyte,
                                     .latencyNs = 1000,
                                     .kind = LinkKind::kDevice}));
  EXPECT_EQ(topology.links[2].capacity, 62'500);
  EXPECT_EQ(topology.links[3].from, 2);
  EXPECT_EQ(topology.links[4].capacity, 25 * kGigabyte);
  EXPECT_EQ(topology.links[4].kind, LinkKind::kOther);
  EXPECT_TRUE(check(topology).isOk());
}

TEST(Json, KeysStandInAnyOrder) {
  const Topology topology = parsed(
      R"({"resources":[{"charges":[{"b":"y","a":"x"}],"gb_per_s":1,"id":"r"}],"comment":"c",
          "links":[{"gb_per_s":1,"b":"y","a":"x","comment":"c"}],"name":"n",
          "nodes":[{"kind":"rank","comment":"c","host":null,"id":"x"},{"kind":"nic","id":"y"}]})");
  EXPECT_EQ(topology.name, "n");
  ASSERT_EQ(topology.resources.size(), 1u);
  EXPECT_EQ(topology.resources[0], (Resource{"r", kGigabyte, {{0, 1}}}));
  EXPECT_EQ(topology.links[0].kind, LinkKind::kPci);
}

Topology makeRich() {
  Topology topology = makeStar(2, 300 * kGigabyte);
  topology.name = "with \"quotes\", \\ and ü";
  topology.nodes[0] = {.id = "a \"b\" \\ ü",
                       .kind = NodeKind::kRank,
                       .host = "h",
                       .site = "s",
                       .vendor = "v",
                       .model = "m",
                       .address = "0000:c1:00.0"};
  addForwarder(topology, "n", NodeKind::kNic);
  addForwarder(topology, "b", NodeKind::kBridge);
  addForwarder(topology, "h", NodeKind::kHost);
  topology.addLink({.from = 0, .to = 3, .capacity = 1, .latencyNs = 1});
  topology.addLink({.from = 3, .to = 0, .capacity = kMostCapacity, .latencyNs = kMostLatencyNs});
  topology.addLink({.from = 0, .to = 3, .capacity = 7});
  for (int kind = 0; kind < 6; ++kind) {
    topology.addDuplex({.from = 4,
                        .to = 5,
                        .capacity = 123'456'789,
                        .kind = static_cast<LinkKind>(kind),
                        .provenance = static_cast<Provenance>(kind % 3)});
  }
  topology.resources.push_back({"all", 5, {{0, 1}, {1, 2}, {4, 3}, {6, 1}, {9, 1}}});
  topology.resources.push_back({"none", kMostCapacity, {}});
  return topology;
}

TEST(Json, RoundTripIsExact) {
  const Topology rich = makeRich();
  ASSERT_TRUE(parseJson(toJson(rich), "f").isOk()) << toJson(rich);
  EXPECT_EQ(parsed(toJson(rich)), rich) << toJson(rich);
  for (const Topology& each : {Topology{}, makeStar(1, 1), makeStar(64, 12'500'000)}) {
    EXPECT_EQ(parsed(toJson(each)), each) << toJson(each);
  }
}

TEST(Json, AChargeIsForAllParallelLinksOrTheNth) {
  const std::string start =
      R"({"nodes":[{"id":"a","kind":"rank"},{"id":"b","kind":"rank"}],
          "links":[{"a":"a","b":"b","gb_per_s":1},{"a":"a","b":"b","gb_per_s":2}],
          "resources":[{"id":"r","gb_per_s":1,"charges":[)";
  const auto charges = [&](const std::string& text) {
    const Topology topology = parsed(start + text + "]}]}");
    return topology.resources.empty() ? std::vector<Charge>{} : topology.resources[0].charges;
  };
  EXPECT_EQ(charges(R"({"a":"a","b":"b","units":2})"), (std::vector<Charge>{{0, 2}, {2, 2}}));
  EXPECT_EQ(charges(R"({"a":"b","b":"a","nth":2})"), (std::vector<Charge>{{3, 1}}));
}

TEST(Json, SaysWhatWasRounded) {
  std::vector<std::string> notes;
  const auto result = parseJson(
      "{\"nodes\":[{\"id\":\"a\",\"kind\":\"rank\"},"
      "{\"id\":\"b\",\"kind\":\"rank\"}],\n\"links\":["
      "{\"a\":\"a\",\"b\":\"b\",\"gb_per_s\":0.0000019}]}",
      "f", &notes);
  ASSERT_TRUE(result.isOk()) << result.status().toString();
  EXPECT_EQ(result->links[0].capacity, 1);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "f:2:38: 0.0000019 is taken as 0.000001 GB/s, which is as fine as it gets");
}

TEST(Json, NotesAreFew) {
  std::string text = R"({"nodes":[{"id":"a","kind":"rank"},{"id":"b","kind":"rank"}],"links":[)";
  for (int i = 0; i < 100; ++i) {
    text += (i == 0 ? "" : ",") + std::string(R"({"a":"a","b":"b","gb_per_s":1.0000001})");
  }
  std::vector<std::string> notes;
  ASSERT_TRUE(parseJson(text + "]}", "f", &notes).isOk());
  ASSERT_EQ(notes.size(), 21u);
  EXPECT_EQ(notes.back(), "and 80 notes more");
}

// The text has @ in front of what is wrong; the error must name that place.
void expectRefused(std::string text, const std::string& part) {
  const size_t mark = text.find('@');
  ASSERT_NE(mark, std::string::npos) << text;
  text.erase(mark, 1);
  const std::string before = text.substr(0, mark);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t column = mark - (before.rfind('\n') + 1) + 1;
  const auto result = parseJson(text, "f.json");
  ASSERT_FALSE(result.isOk()) << text;
  const std::string said = result.status().toString();
  EXPECT_EQ(result.status().errorId(), base::kErrTopologyFile);
  const std::string place =
      "TUTTI-E0309 f.json:" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  EXPECT_EQ(said.rfind(place, 0), 0u) << said << "\nexpected " << place << " in\n" << text;
  EXPECT_NE(said.find(part), std::string::npos) << said;
}

const std::string kNodes =
    "{\n \"nodes\": [{\"id\": \"g0\", \"kind\": \"rank\"},\n  {\"id\": \"g1\", \"kind\": "
    "\"rank\"}],\n";

void expectLinkRefused(const std::string& link, const std::string& part) {
  expectRefused(kNodes + " \"links\": [\n  " + link + "]}", part);
}

TEST(Json, NamesLineAndColumnOfNodes) {
  expectRefused(R"({"nodes": [{"id": "a", "kind": @"swich"}]})", "did you mean \"switch\"?");
  expectRefused(R"({"nodes": [{"id": "a", "kind": @"zzz"}]})", "rank, switch, nic, bridge, host");
  expectRefused("{\"nodes\": [\n @{\"kind\": \"rank\"}]}", "needs \"id\", a text");
  expectRefused(R"({"nodes": [{"id": @"", "kind": "rank"}]})", "empty");
  expectRefused(R"({"nodes": [{"id": @7, "kind": "rank"}]})",
                "must be a text, and this is a number");
  expectRefused(R"({"nodes": [{"id": @[7], "kind": "rank"}]})", "and this is a list");
  expectRefused(R"({"nodes": [{"id": @{}, "kind": "rank"}]})", "and this is an object");
  expectRefused(R"({"nodes": [{"id": "a\"\\", @"kin": "rank"}]})", "did you mean \"kind\"?");
  expectRefused(R"({"nodes": [{"id": "a", @"wholly": 1}]})", "its keys are id, kind");
  expectRefused(R"({"nodes": [{"id": "a", "kind": "rank", @"id": "b"}]})", "twice");
  expectRefused(
      "{\"nodes\": [{\"id\": \"a\", \"kind\": \"rank\"},\n {\"id\": @\"a\", \"kind\": "
      "\"nic\"}]}",
      "taken, at f.json:1:19");
  expectRefused(R"({"nodes": [{"id": @"a\u001bb", "kind": "rank"}]})", "control characters");
  expectRefused(R"({"nodes": [@"a"]})", "a node is an object");
  expectRefused(R"({"nodes": [@null]})", "a node is an object");
  expectRefused(R"({"nodes": @"a"})", "must be a list");
  expectRefused(R"(@{"links": []})", "needs \"nodes\"");
}

TEST(Json, NamesLineAndColumnOfLinks) {
  expectLinkRefused(R"({"a": "g0", "b": @"g2", "gb_per_s": 1})", "did you mean \"g0\"?");
  expectLinkRefused(R"({"a": @"somewhere", "b": "g1", "gb_per_s": 1})", "add it to the nodes");
  expectLinkRefused(R"({"a": "g0", "b": @"g0", "gb_per_s": 1})", "leads to itself");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @0})", "leave out what carries nothing");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @1e-9})", "less than 1 kB/s");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @-5})", "0.000001 to 10000000 GB/s");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s":@10000000.000001 })", "out of range");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @"1"})", "must be a number");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @true})", "must be a number");
  expectLinkRefused(R"(@{"a": "g0", "b": "g1"})", "needs \"gb_per_s\", a number");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": 1, "latency_us": @-1})", "0 to");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": 1, "duplex": @1})", "true or false");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": 1, "kind": @"pcie"})", "\"pci\"?");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": 1, "provenance": @"x"})", "declared");
  expectLinkRefused(R"({"a": "g0", "b": "g1", @"gb": 1})", "did you mean \"gb_per_s\"?");
}

TEST(Json, NamesLineAndColumnOfCharges) {
  const auto refuse = [](const std::string& charge, const std::string& part) {
    expectRefused(kNodes +
                      R"( "links": [{"a": "g0", "b": "g1", "gb_per_s": 1, "duplex": false}],
                          "resources": [{"id": "r", "gb_per_s": 1, "charges": [)" +
                      charge + "]}]}",
                  part);
  };
  refuse(R"({"a": @"g1", "b": "g0"})", "no link goes from \"g1\" to \"g0\"");
  refuse(R"({"a": "g0", "b": @"gx"})", "did you mean");
  refuse(R"({"a": "g0", "b": "g1", "nth": @2})", "1 links go from");
  refuse(R"({"a": "g0", "b": "g1", "nth": @0})", "out of range");
  refuse(R"({"a": "g0", "b": "g1", "units": @0})", "1 to 2147483647");
  refuse(R"({"a": "g0", "b": "g1"}, {"a": @"g0", "b": "g1"})", "add the units up");
}

TEST(Json, NamesLineAndColumnOfWhatIsNoJson) {
  expectRefused("@", "empty");
  expectRefused(" \n@\t", "empty");
  expectRefused("@[]", "a topology is an object");
  expectRefused("@7", "a topology is an object");
  expectRefused("{\"nodes\": @}", "syntax error");
  expectRefused("{\"nodes\": [{\"id\": @NaN}]}", "syntax error");
  expectRefused("{\"nodes\": [@]", "unexpected end");
  expectRefused("{\"nodes\": []} @x", "syntax error");
  expectRefused("{\"nodes\": [{\"id\": \"a\", \"kind\": \"rank\", @\"wholly\": 1e999}]}",
                "its keys are");
  expectLinkRefused(R"({"a": "g0", "b": "g1", "gb_per_s": @1e999})", "overflow");
}

TEST(Json, EveryPartOfATextIsRefusedOrRead) {
  const std::string whole = toJson(makeRich());
  for (size_t size = 0; size < whole.rfind('}'); ++size) {
    EXPECT_FALSE(parseJson(whole.substr(0, size), "f").isOk()) << size;
  }
  // No byte makes it crash; the sanitizers look on, at each place and each byte, not all pairs.
  size_t turn = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\0', '"', '\\', '{', '9', '\xff', '\n'}) {
      if (test::kIsSanitized && turn++ % 3 != 0) continue;
      std::string bent = whole;
      bent[at] = byte;
      const auto result = parseJson(bent, "f");
      EXPECT_EQ(result.isOk(), result.status().text().empty());
    }
  }
}

TEST(Json, HostileTextsEndSoon) {
  const auto start = std::chrono::steady_clock::now();
  const size_t million = 1'000'000;
  for (const std::string& text :
       {std::string(million, '['), "{\"nodes\":" + std::string(million, '['),
        "{\"nodes\":[{\"id\":\"" + std::string(million, 'x'),
        "{\"nodes\":[{\"id\":\"" + std::string(million, '\\') + "\"}",
        "{\"nodes\":[{\"" + std::string(million, 'k') + "\":1}]}", std::string(million, '\n'),
        "{\"nodes\":[{\"id\":\"a\",\"kind\":" + std::string(million, '9') + "}]}",
        "{\"nodes\":[{\"id\":" + std::string(million, '"') + "}]}", std::string(million, '\0')}) {
    const auto result = parseJson(text, "f");
    ASSERT_FALSE(result.isOk());
    EXPECT_LT(result.status().text().size(), 500u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::seconds(tutti::test::kIsSanitized ? 30 : 5));
}

TEST(Json, LargeTextsAreReadInLinearTime) {
  const Topology star = makeStar(20'000, kGigabyte);
  const std::string text = toJson(star);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parsed(text), star);
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::seconds(tutti::test::kIsSanitized ? 30 : 5));
}

TEST(InferKind, FollowsTheEnds) {
  const auto kindOf = [](NodeKind a, NodeKind b) {
    return inferKind({.id = "a", .kind = a}, {.id = "b", .kind = b});
  };
  EXPECT_EQ(kindOf(NodeKind::kRank, NodeKind::kRank), LinkKind::kDevice);
  EXPECT_EQ(kindOf(NodeKind::kRank, NodeKind::kSwitch), LinkKind::kDevice);
  EXPECT_EQ(kindOf(NodeKind::kRank, NodeKind::kNic), LinkKind::kPci);
  EXPECT_EQ(kindOf(NodeKind::kBridge, NodeKind::kNic), LinkKind::kPci);
  EXPECT_EQ(kindOf(NodeKind::kNic, NodeKind::kSwitch), LinkKind::kNetwork);
  EXPECT_EQ(kindOf(NodeKind::kNic, NodeKind::kNic), LinkKind::kNetwork);
  EXPECT_EQ(kindOf(NodeKind::kBridge, NodeKind::kRank), LinkKind::kPci);
  EXPECT_EQ(kindOf(NodeKind::kHost, NodeKind::kHost), LinkKind::kSocket);
  EXPECT_EQ(kindOf(NodeKind::kHost, NodeKind::kRank), LinkKind::kPci);
  EXPECT_EQ(inferKind({.id = "a", .host = "x"}, {.id = "b", .host = "y"}), LinkKind::kNetwork);
}

}  // namespace
}  // namespace tutti::topology
