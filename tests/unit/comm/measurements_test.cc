// Measurements that are kept: for the same hosts in any order, and never what is something else.
#include "src/comm/measurements.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace tutti::comm {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

const std::vector<std::string> kHosts = {"a", "b", "c"};

// Hosts a and b beside each other, c behind a slow line; every figure is another one.
Measurement measured() {
  Measurement result;
  result.hosts.latencyNs = {0, 1, 2, 3, 0, 5, 6, 7, 0};
  result.hosts.pair = {0, 101, 102, 110, 0, 112, 120, 121, 0};
  result.hosts.out = {201, 202, 203};
  result.hosts.in = {301, 302, 303};
  result.hosts.kept = {401, 402, 403};
  result.islands = {{{0, 1}, {2}}, {0, 501, 510, 0}, {601, 602}, {701, 702}};
  return result;
}

class Kept : public testing::Test {
 protected:
  Kept() {
    std::string pattern = testing::TempDir() + "tutti_measured_XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  ~Kept() override {
    std::error_code error;
    fs::remove_all(folder_, error);
  }
  Measurements of(const std::vector<std::string>& hosts) const {
    return {(folder_ / "cache").string(), hosts};
  }
  fs::path file() const {
    for (const auto& entry : fs::directory_iterator(folder_ / "cache")) return entry.path();
    return {};
  }
  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(file()).rdbuf();
    return out.str();
  }
  void write(const std::string& changed) const { std::ofstream(file()) << changed; }

  fs::path folder_;
};

TEST_F(Kept, ComesBack) {
  EXPECT_EQ(of(kHosts).load(seconds(100)), "");
  of(kHosts).save(measured());
  const auto text = of(kHosts).load(seconds(100));
  const auto back = of(kHosts).parse(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->hosts.pair, measured().hosts.pair);
  EXPECT_EQ(back->hosts.latencyNs, measured().hosts.latencyNs);
  EXPECT_EQ(back->islands.islands, measured().islands.islands);
  EXPECT_EQ(back->islands.between, measured().islands.between);
  of(kHosts).forget();
  EXPECT_EQ(of(kHosts).load(seconds(100)), "");
}

TEST_F(Kept, ComesBackForTheSameHostsInAnotherOrder) {
  of(kHosts).save(measured());
  const auto other = of({"c", "a", "b"});
  const auto back = other.parse(other.load(seconds(100)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->hosts.pair, (std::vector<int64_t>{0, 120, 121, 102, 0, 101, 112, 110, 0}));
  EXPECT_EQ(back->hosts.out, (std::vector<int64_t>{203, 201, 202}));
  EXPECT_EQ(back->hosts.kept, (std::vector<int64_t>{403, 401, 402}));
  EXPECT_EQ(back->islands.islands, (std::vector<std::vector<int>>{{0}, {1, 2}}));
  EXPECT_EQ(back->islands.between, (std::vector<int64_t>{0, 510, 501, 0}));
  EXPECT_EQ(back->islands.out, (std::vector<int64_t>{602, 601}));
}

TEST_F(Kept, IsNotForOthers) {
  of(kHosts).save(measured());
  const auto text = of(kHosts).load(seconds(100));
  for (const auto& hosts : std::vector<std::vector<std::string>>{
           {"a", "b"}, {"a", "b", "d"}, {"a", "b", "c", "d"}, {"a", "b", "b"}}) {
    EXPECT_EQ(of(hosts).load(seconds(100)), "");
    EXPECT_FALSE(of(hosts).parse(text));
  }
}

TEST_F(Kept, AgesAndIsNeverFromTheFuture) {
  of(kHosts).save(measured());
  EXPECT_EQ(of(kHosts).load(seconds(0)), "");
  const std::string now = text();
  const auto at = [&](const std::string& when) {
    std::string changed = now;
    const auto begin = changed.find("\"at\": ") + 6;
    changed.replace(begin, changed.find(',', begin) - begin, when);
    write(changed);
    return !of(kHosts).load(seconds(100)).empty();
  };
  EXPECT_FALSE(at("1700000000"));
  EXPECT_FALSE(at("17000000000"));
  EXPECT_FALSE(at("\"now\""));
}

TEST_F(Kept, DamageIsNoMeasurement) {
  of(kHosts).save(measured());
  const std::string whole = text();
  for (size_t end = 0; end < whole.size() - 2; end += 7) {
    write(whole.substr(0, end));
    EXPECT_EQ(of(kHosts).load(seconds(100)), "") << end;
  }
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"format\": 1", "\"format\": 2"},
                                                        {"\"pair\"", "\"pear\""},
                                                        {"110", "-110"},
                                                        {"121", "\"121\""},
                                                        {"601", "601, 1"}}) {
    std::string changed = whole;
    changed.replace(changed.find(from), from.size(), to);
    write(changed);
    EXPECT_EQ(of(kHosts).load(seconds(100)), "") << to;
  }
  write(whole);
  EXPECT_NE(of(kHosts).load(seconds(100)), "");
}

TEST_F(Kept, NowhereWithoutADirectory) {
  const Measurements none("", kHosts);
  none.save(measured());
  EXPECT_EQ(none.load(seconds(100)), "");
}

TEST(NetworkIdentity, IsTheSameTwice) {
  EXPECT_EQ(networkIdentity(), networkIdentity());
  EXPECT_FALSE(networkIdentity().empty());
}

}  // namespace
}  // namespace tutti::comm
