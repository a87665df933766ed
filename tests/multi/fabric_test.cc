// Communicators whose ranks lie on a fabric that a file describes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/multi/exercise.h"

namespace tutti::test {
namespace {

namespace fs = std::filesystem;

// A folder for the fabric's file and the plans that are kept.
class Fabric : public testing::Test {
 protected:
  Fabric() {
    std::string pattern = testing::TempDir() + "tutti_fabric_XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  ~Fabric() override {
    std::error_code error;
    fs::remove_all(folder_, error);
  }

  std::string write(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / name;
    std::ofstream(path) << text;
    return path.string();
  }
  RunOptions optionsFor(const Setting& setting, const std::string& file) const {
    RunOptions options;
    options.setting = setting;
    options.environment = {{"TUTTI_TOPO_FILE", file},
                           {"TUTTI_CACHE_DIR", (folder_ / "plans").string()}};
    return options;
  }

  fs::path folder_;
};

// Ranks at one switch, each with a link of its own speed.
std::string star(const std::vector<int>& rates) {
  std::string nodes = R"({"id": "s", "kind": "switch"})";
  std::string links;
  for (size_t rank = 0; rank < rates.size(); ++rank) {
    nodes += fmt::format(R"(, {{"id": "g{}", "kind": "rank"}})", rank);
    links += fmt::format(R"({}{{"a": "g{}", "b": "s", "gb_per_s": {}, "latency_us": 1}})",
                         rank == 0 ? "" : ", ", rank, rates[rank]);
  }
  return fmt::format(R"({{"nodes": [{}], "links": [{}]}})", nodes, links);
}

// The last rank has a quarter of what the others have: trees beat rings.
std::string unequalStar(int ranks) {
  std::vector<int> rates(static_cast<size_t>(ranks), 8);
  rates.back() = 2;
  return star(rates);
}

// Ranks in a ring, with one link slower than the others: what goes around is slow, what turns back
// is not.
std::string slowRing(int ranks) {
  std::string nodes;
  std::string links;
  for (int rank = 0; rank < ranks; ++rank) {
    const char* comma = rank == 0 ? "" : ", ";
    nodes += fmt::format(R"({}{{"id": "g{}", "kind": "rank"}})", comma, rank);
    links += fmt::format(R"({}{{"a": "g{}", "b": "g{}", "gb_per_s": {}, "latency_us": 1}})", comma,
                         rank, (rank + 1) % ranks, rank == 1 ? 4 : 8);
  }
  return fmt::format(R"({{"nodes": [{}], "links": [{}]}})", nodes, links);
}

// In one machine, with a NIC that both share.
constexpr const char* kPairXml = R"(<system version="1">
 <cpu numaid="0" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="85">
  <pci busid="0000:10:00.0" class="0x060400" link_speed="16.0 GT/s PCIe" link_width="16">
   <pci busid="0000:11:00.0" class="0x030200" link_speed="16.0 GT/s PCIe" link_width="16">
    <gpu dev="0" sm="80" rank="0" gdr="1"/>
   </pci>
   <pci busid="0000:12:00.0" class="0x030200" link_speed="8.0 GT/s PCIe" link_width="8">
    <gpu dev="1" sm="80" rank="1" gdr="1"/>
   </pci>
   <pci busid="0000:13:00.0" class="0x020700" link_speed="16.0 GT/s PCIe" link_width="16">
    <nic><net name="mlx5_0" dev="0" speed="200000" port="1" gdr="1"/></nic>
   </pci>
  </pci>
 </cpu>
</system>
)";

const std::vector<Kind> kPlanned = {Kind::kAllReduce, Kind::kAllGather, Kind::kReduceScatter,
                                    Kind::kBroadcast, Kind::kReduce};

void requireDescribed(RankContext& context, const std::string& wanted, bool isThere = true) {
  const char* text = nullptr;
  TUTTI_REQUIRE(context, tuttiCommDescribe(context.comm(), &text));
  if ((std::string(text).find(wanted) != std::string::npos) == isThere) return;
  context.fail(fmt::format("{} is{} in {}", wanted, isThere ? " not" : "", text));
}

void exerciseAll(RankContext& context, size_t most) {
  uint32_t seed = 1;
  for (const Kind kind : kPlanned) {
    for (const size_t count : std::vector<size_t>{0, 1, 3, 1001, 20'011, 100'003, 1'000'003}) {
      if (count > most) continue;
      for (const tuttiDataType_t type : {tuttiFloat32, tuttiInt8, tuttiFloat64}) {
        Case wanted{.kind = kind, .count = count, .type = type};
        wanted.root = static_cast<int>(seed) % context.size();
        wanted.isInPlace = seed % 2 == 0;
        wanted.misalignment = seed % 3 == 0 ? sizeOf(type) : 0;
        wanted.op = seed % 5 == 0 ? tuttiAvg : tuttiSum;
        wanted.memory = seed % 4 == 0 ? Memory::kShared : Memory::kPlain;
        wanted.seed = ++seed;
        Exercise one(context, wanted);
        TUTTI_REQUIRE(context, one.call());
        one.verify();
        if (kind == Kind::kAllReduce) context.requireSame(one.resultHash(), toString(wanted));
      }
    }
  }
}

size_t mostElements() { return kIsThreadSanitized ? 1001 : kIsSanitized ? 20'011 : 1'000'003; }

std::vector<Setting> settings() {
  if (kIsSanitized) return seen({{Launch::kThreads, 4}, {Launch::kProcesses, 4}});
  return {{Launch::kThreads, 4}, {Launch::kProcesses, 5}, {Launch::kMixed, 4}};
}

class FabricOf : public Fabric, public testing::WithParamInterface<Setting> {};

TEST_P(FabricOf, RunsItsPlans) {
  const Setting setting = GetParam();
  const std::string files[] = {write("star.json", unequalStar(setting.size)),
                               write("ring.json", slowRing(setting.size))};
  for (const std::string& file : files) {
    for (const size_t most : {mostElements(), size_t{1001}}) {  // the second reads what is kept
      runRanks(optionsFor(setting, file), [&](RankContext& context) {
        requireDescribed(context, file);
        exerciseAll(context, most);
      });
      EXPECT_FALSE(fs::is_empty(folder_ / "plans"));
    }
  }
}

// Long calls go by trees where the speeds of links differ; what the table does not know stays.
TEST_P(FabricOf, PacksTrees) {
  const Setting setting = GetParam();
  runRanks(optionsFor(setting, write("ring.json", slowRing(setting.size))),
           [](RankContext& context) {
             constexpr size_t kCount = 3'000'017;
             exercise(context, {.kind = Kind::kAllReduce, .count = kCount, .type = tuttiInt8});
             requireDescribed(context, R"("algorithm": "trees")");
             exercise(context, {.kind = Kind::kAllGather, .count = kCount, .type = tuttiInt8});
             requireDescribed(context, R"("algorithm": "forest")");
             for (const Kind kind : allKinds()) exercise(context, {.kind = kind, .count = 3001});
           });
}

TEST_P(FabricOf, TakesForcedAlgorithmsAndChunks) {
  const Setting setting = GetParam();
  for (const char* algorithm : {"trees", "forest", "ring", "chain", "exchange"}) {
    auto options = optionsFor(setting, write("star.json", unequalStar(setting.size)));
    options.environment.emplace_back("TUTTI_ALGO", algorithm);
    options.environment.emplace_back("TUTTI_CHUNK", "3000");
    runRanks(options, [](RankContext& context) {
      uint32_t seed = 1;
      for (const Kind kind : kPlanned) {
        for (const size_t count : {size_t{1}, size_t{70}, size_t{20'011}}) {
          exercise(context,
                   {.kind = kind, .count = count, .isInPlace = count > 70, .seed = ++seed});
        }
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, FabricOf, testing::ValuesIn(settings()),
                         [](const auto& tested) { return name(tested.param); });

// Two machines of two ranks each, from the file of one.
TEST_F(Fabric, JoinsMachinesLikeTheFile) {
  auto options = optionsFor({Launch::kThreads, 4}, write("pair.xml", kPairXml));
  options.environment.emplace_back("TUTTI_TOPO_NETWORK", "star");
  runRanks(options, [](RankContext& context) {
    requireDescribed(context, "pair.xml (4 ranks");
    exerciseAll(context, kIsSanitized ? 1001 : 100'003);
  });
}

// Parts have no known place in the file.
TEST_F(Fabric, PartsOfACommunicatorGoWithout) {
  runRanks(optionsFor({Launch::kThreads, 4}, write("star.json", unequalStar(4))),
           [](RankContext& context) {
             tuttiComm_t part = nullptr;
             TUTTI_REQUIRE(context, tuttiCommSplit(context.comm(), context.rank() % 2,
                                                   context.rank(), &part, nullptr));
             exercise(context, {.kind = Kind::kAllReduce, .count = 20'011}, part);
             TUTTI_REQUIRE(context, tuttiCommDestroy(part));
             exercise(context, {.kind = Kind::kAllReduce, .count = 20'011});
           });
}

// A failure of one rank reaches the others as its abort.
void requireRefused(RankContext& context, const std::string& id, const std::string& text) {
  const tuttiUniqueId unique = context.newId();
  tuttiComm_t comm = nullptr;
  const auto result = tuttiCommInitRank(&comm, context.size(), unique, context.rank());
  const std::string error = tuttiGetLastError(nullptr);
  if (result != tuttiSuccess && error.find(text) != std::string::npos &&
      (error.find(id) != std::string::npos || error.find("E0122") != std::string::npos)) {
    return;
  }
  context.fail(
      fmt::format("result {}, not {} with \"{}\": {}", static_cast<int>(result), id, text, error));
}

TEST_F(Fabric, RefusesAPartOfAMachine) {
  auto options = optionsFor({Launch::kThreads, 5}, write("pair.xml", kPairXml));
  options.environment.emplace_back("TUTTI_TOPO_NETWORK", "star");
  options.makesComm = false;
  runRanks(options, [](RankContext& context) {
    requireRefused(context, "TUTTI-E0309", "5 are no multiple");
  });
}

TEST_F(Fabric, RefusesFilesThatCanNotBeUsed) {
  const struct {
    std::string file;
    const char* text;
  } bad[] = {{(folder_ / "missing.json").string(), "missing.json"},
             {write("broken.json", "{\"nodes\": ["), "broken.json"},
             {write("empty.xml", "<system version=\"1\"/>"), "empty.xml"},
             {write("three.json", unequalStar(3)), "the communicator has 4"},
             {folder_.string(), "not a file"}};
  for (const Launch launch : {Launch::kThreads, Launch::kProcesses}) {
    if (kIsThreadSanitized && launch == Launch::kProcesses) continue;
    for (const auto& each : bad) {
      auto options = optionsFor({launch, 4}, each.file);
      options.makesComm = false;
      runRanks(options,
               [&](RankContext& context) { requireRefused(context, "TUTTI-E0309", each.text); });
    }
  }
}

TEST_F(Fabric, RefusesFilesThatDiffer) {
  if (kIsThreadSanitized) GTEST_SKIP() << "processes";
  const std::string one = write("one.json", unequalStar(3));
  const std::string other = write("other.json", star({8, 8, 3}));
  for (const std::string& second : {other, std::string()}) {
    auto options = optionsFor({Launch::kProcesses, 3}, one);
    options.makesComm = false;
    runRanks(options, [&](RankContext& context) {
      if (context.rank() == 2) setenv("TUTTI_TOPO_FILE", second.c_str(), 1);
      requireRefused(context, "TUTTI-E0131", "rank 2");
    });
  }
}

uint32_t crc32c(std::string_view text) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

// `order` instead of the ring's in a kept plan; the checksum fits.
void changeOrder(const fs::path& file, const std::string& order) {
  std::ifstream stream(file);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  std::string body = text.substr(text.find('\n') + 1);
  const size_t at = body.find("order ");
  ASSERT_NE(at, std::string::npos) << text;
  body.replace(at, body.find('\n', at) - at, order);
  std::ofstream(file) << fmt::format("tutti-plan 1 {:08x} {}\n{}", crc32c(body), body.size(), body);
}

// Two kept plans that are both valid, but not alike, are different Schedules.
TEST_F(Fabric, SeesThatRanksPlannedDifferently) {
  if (kIsThreadSanitized) GTEST_SKIP() << "processes";
  auto options = optionsFor({Launch::kProcesses, 4}, write("star.json", unequalStar(4)));
  options.environment.emplace_back("TUTTI_ALGO", "ring");
  const Case wanted{.kind = Kind::kAllReduce, .count = 100'003};
  runRanks(options, [&](RankContext& context) { exercise(context, wanted); });
  const fs::path others = folder_ / "others";
  fs::copy(folder_ / "plans", others);
  for (const auto& entry : fs::directory_iterator(others)) {
    changeOrder(entry.path(), "order 4 0 3 1 2");
  }
  options.makesComm = false;
  runRanks(options, [&](RankContext& context) {
    if (context.rank() == 1) setenv("TUTTI_CACHE_DIR", others.c_str(), 1);
    context.setComm(context.newComm());
    const tuttiResult_t result = Exercise(context, wanted).call();
    const std::string error = tuttiGetLastError(context.comm());
    TUTTI_CHECK(context, result != tuttiSuccess);
    if (error.find("planned it differently") == std::string::npos) context.fail(error);
  });
}

}  // namespace
}  // namespace tutti::test
