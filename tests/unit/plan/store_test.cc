#include "src/plan/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "src/base/hash.h"
#include "src/plan/plan_file.h"
#include "tests/support/fabrics.h"
#include "tests/support/sanitized.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

namespace fs = std::filesystem;
using ir::Collective;

constexpr uint64_t kLong = uint64_t{1} << 30;

class Store : public testing::Test {
 protected:
  Store() {
    std::string pattern = (fs::temp_directory_path() / "tutti_store_XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  ~Store() override {
    std::error_code error;
    fs::remove_all(folder_, error);
  }

  fs::path plans() const { return folder_ / "a" / "plans"; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(plans())) return found;
    for (const auto& entry : fs::directory_iterator(plans())) found.push_back(entry.path());
    return found;
  }

  struct Result {
    FabricPlan plan;
    std::string log;
  };
  Result planned(const Demand& demand = {}, uint64_t bytes = kLong) {
    return planned(plans().string(), demand, bytes);
  }
  Result planned(const std::string& directory, const Demand& demand = {}, uint64_t bytes = kLong) {
    PlanStore store(directory);
    testing::internal::CaptureStderr();
    auto made = store.plan(fabric_, demand, bytes);
    std::string log = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(made.isOk()) << made.status().toString();
    return {made.isOk() ? made.take() : FabricPlan{}, std::move(log)};
  }
  FabricPlan fresh(const Demand& demand = {}, uint64_t bytes = kLong) {
    return *planFabric(fabric_, demand, bytes);
  }

  static std::string textOf(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void write(const fs::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
  }
  // The one file, after a plan for it was kept.
  fs::path kept() {
    EXPECT_EQ(planned().log, "");
    EXPECT_EQ(files().size(), 1u);
    return files().empty() ? fs::path() : files()[0];
  }
  // What stands in `file` is passed over with one warning, and replaced by what is right.
  void expectReplanned(const fs::path& file, std::string_view why) {
    const std::string right = toRight_;
    const auto [plan, log] = planned();
    EXPECT_EQ(plan, fresh());
    EXPECT_NE(log.find(why), std::string::npos) << log;
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
    EXPECT_EQ(textOf(file), right);
    EXPECT_EQ(planned().log, "");
  }

  fs::path folder_;
  std::string toRight_;
  topology::Topology fabric_ = tests::randomFabric(1, {.ranks = 5});
};

// A body with the checksum that belongs to it.
std::string sealed(const std::string& body) {
  const auto bytes = std::as_bytes(std::span(body.data(), body.size()));
  char first[64];
  std::snprintf(first, sizeof(first), "tutti-plan 1 %08x %zu\n", base::crc32c(bytes), body.size());
  return first + body;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string bodyOf(const std::string& text) { return text.substr(text.find('\n') + 1); }

TEST_F(Store, KeptPlansEqualFreshOnes) {
  std::vector<topology::Topology> fabrics = {fabric_, tests::dgx1v()};
  if (!test::kIsSanitized) fabrics.insert(fabrics.end(), {tests::mi250(1), tests::h100(2)});
  for (const auto& fabric : fabrics) {
    fabric_ = fabric;
    for (const Collective collective :
         {Collective::kAllReduce, Collective::kBroadcast, Collective::kReduce,
          Collective::kAllGather, Collective::kReduceScatter, Collective::kAllToAll}) {
      const Demand demand{.collective = collective, .root = ir::hasRoot(collective) ? 2 : 0};
      EXPECT_EQ(planned(demand).plan, fresh(demand));
      const Result again = planned(demand);
      EXPECT_EQ(again.plan, fresh(demand));
      EXPECT_EQ(again.log, "");
      EXPECT_EQ(planned(demand, 4096).plan, fresh(demand, 4096));
    }
  }
  EXPECT_GE(files().size(), 4u);
}

TEST_F(Store, ReadsWhatItKept) {
  const fs::path file = kept();
  // A packing that is valid but not what a search finds: only a reader can come to it.
  Searched known = searchedOf(fresh());
  ASSERT_FALSE(known.packing.trees.empty());
  const size_t trees = known.packing.trees.size() + 1;
  known.packing.trees.push_back(known.packing.trees[0]);
  const std::string body = bodyOf(textOf(file));
  const std::string key = body.substr(0, body.find('\n'));
  write(file, toPlanFile(key, known));
  const auto [plan, log] = planned();
  EXPECT_EQ(log, "");
  EXPECT_EQ(searchedOf(plan).packing.trees.size(), trees);
}

TEST_F(Store, DamageIsSeen) {
  const fs::path file = kept();
  toRight_ = textOf(file);
  for (const size_t length :
       {size_t{0}, size_t{5}, size_t{30}, toRight_.size() / 2, toRight_.size() - 1}) {
    write(file, toRight_.substr(0, length));
    expectReplanned(file, "is not used");
  }
  for (size_t at = 0; at < toRight_.size(); at += 1 + toRight_.size() / 40) {
    std::string text = toRight_;
    text[at] = static_cast<char>(text[at] ^ 4);
    write(file, text);
    expectReplanned(file, "is not used");
  }
  write(file, toRight_ + "0");
  expectReplanned(file, "checksum");
  write(file, std::string(100'000, '\0'));
  expectReplanned(file, "format");
}

TEST_F(Store, ForeignFilesAreSeen) {
  const fs::path file = kept();
  toRight_ = textOf(file);
  const std::string body = bodyOf(toRight_);
  write(file, sealed(replaced(body, "planner ", "planner 9")));
  expectReplanned(file, "it is for");
  write(file, sealed(replaced(body, "all_reduce root 0", "all_reduce root 1")));
  expectReplanned(file, "it is for");
  write(file, replaced(toRight_, "tutti-plan 1", "tutti-plan 2"));
  expectReplanned(file, "format");
  write(file, sealed(body.substr(0, body.find('\n'))));
  expectReplanned(file, "no plan");
  write(file, sealed(body.substr(0, body.find("trees"))));
  expectReplanned(file, "no plan");
  write(file, sealed(replaced(body, "order 5", "order 99999999999999999999")));
  expectReplanned(file, "no plan");
  write(file, sealed(replaced(body, "trees 0 ", "trees 0 2000000000")));
  expectReplanned(file, "no plan");
}

// The checksum is right, and what stands there is a plan, but not for this fabric.
TEST_F(Store, WrongPlansAreSeen) {
  const fs::path file = kept();
  toRight_ = textOf(file);
  const std::string body = bodyOf(toRight_);
  const std::string key = body.substr(0, body.find('\n'));
  const Searched right = searchedOf(fresh());
  const auto tryOut = [&](auto change) {
    Searched wrong = right;
    change(wrong);
    write(file, toPlanFile(key, wrong));
    expectReplanned(file, "is not used");
  };
  tryOut([](Searched& wrong) { wrong.order[1] = wrong.order[2]; });
  tryOut([](Searched& wrong) { wrong.order.pop_back(); });
  tryOut([](Searched& wrong) { std::swap(wrong.order[0], wrong.order[1]); });
  tryOut([](Searched& wrong) { wrong.packing.isFlooding = true; });
  tryOut([](Searched& wrong) { wrong.packing.trees[0].tree.parents[0] = 77; });
  tryOut([](Searched& wrong) { wrong.packing.trees[0].tree.root = 4; });
  tryOut([](Searched& wrong) {
    for (auto& links : wrong.packing.trees[0].down)
      std::fill(links.begin(), links.end(), 1'000'000);
  });
  tryOut([](Searched& wrong) {
    for (auto& links : wrong.packing.trees[0].up) links.clear();
  });
  tryOut([](Searched& wrong) { wrong.packing.trees.resize(40, wrong.packing.trees[0]); });
}

TEST_F(Store, LinksAreNotFollowed) {
  const fs::path file = kept();
  toRight_ = textOf(file);
  const fs::path elsewhere = folder_ / "elsewhere";
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  expectReplanned(file, "symbolic link");
  EXPECT_FALSE(fs::is_symlink(file));
  EXPECT_EQ(textOf(elsewhere), toRight_);
  fs::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  expectReplanned(file, "no file");
}

TEST_F(Store, FoldersThatCanNotBeUsedCostOneWarning) {
  write(folder_ / "file", "x");
  PlanStore store((folder_ / "file" / "plans").string());
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*store.plan(fabric_, {}, kLong), fresh());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("TUTTI_CACHE_DIR"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  if (geteuid() == 0) return;  // whom permissions do not stop
  kept();
  fs::permissions(plans(), fs::perms::none);
  EXPECT_NE(planned().log.find("can not be opened"), std::string::npos);
  fs::permissions(plans(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_NE(planned({.collective = Collective::kBroadcast}).log.find("can not be written"),
            std::string::npos);
  fs::permissions(plans(), fs::perms::owner_all);
}

TEST_F(Store, NothingIsKeptWithoutFolder) {
  EXPECT_EQ(planned("").plan, fresh());
  EXPECT_TRUE(files().empty());
}

TEST_F(Store, WritersDoNotDisturbEachOther) {
  const FabricPlan right = fresh();
  std::vector<std::thread> writers;
  std::atomic<int> wrong{0};
  testing::internal::CaptureStderr();
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        if ((round + i) % 5 == 0) {
          for (const auto& file : files()) {
            std::error_code gone;
            fs::remove(file, gone);
          }
        }
        const auto made = PlanStore(plans().string()).plan(fabric_, {}, kLong);
        if (!made.isOk() || !(*made == right)) ++wrong;
      }
    });
  }
  for (auto& writer : writers) writer.join();
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(planned().log, "");
  EXPECT_EQ(files().size(), 1u);
}

}  // namespace
}  // namespace tutti::plan
