// What launchers say, and ids without a channel.
#include "src/bootstrap/launcher.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/bootstrap/launch_file.h"
#include "src/bootstrap/launch_parent.h"
#include "src/bootstrap/launch_variables.h"
#include "src/bootstrap/unique_id.h"
#include "tests/unit/bootstrap/ranks.h"

namespace tutti::bootstrap::test {
namespace {

using Variables = std::map<std::string, std::string>;

base::Result<Launch> read(const Variables& variables) {
  return readLaunch(base::Config::fromMap(variables), [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

void expectInfo(const Variables& variables, const LauncherInfo& expected) {
  const auto launch = read(variables);
  ASSERT_TRUE(launch.isOk()) << launch.status().toString();
  EXPECT_STREQ(launch->info.launcher, expected.launcher);
  EXPECT_EQ(launch->info.rank, expected.rank);
  EXPECT_EQ(launch->info.size, expected.size);
  EXPECT_EQ(launch->info.localRank, expected.localRank);
  EXPECT_EQ(launch->info.localSize, expected.localSize);
}

const Variables kTorch = {{"RANK", "5"},         {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},   {"LOCAL_WORLD_SIZE", "4"},
                          {"MASTER_ADDR", "n1"}, {"MASTER_PORT", "29500"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                            {"OMPI_COMM_WORLD_SIZE", "4"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                            {"PMIX_NAMESPACE", "123456"}};
const Variables kMpich = {
    {"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}};
const Variables kSlurm = {{"SLURM_PROCID", "6"},
                          {"SLURM_STEP_NUM_TASKS", "7"},
                          {"SLURM_LOCALID", "2"},
                          {"SLURM_NODEID", "1"},
                          {"SLURM_STEP_ID", "0"},
                          {"SLURM_JOB_ID", "99"},
                          {"SLURM_STEP_TASKS_PER_NODE", "4,3"},
                          {"SLURM_STEP_NODELIST", "gpu[003-004]"}};

TEST(Launcher, Detects) {
  expectInfo({}, {});
  expectInfo(kTorch, {5, 8, 1, 4, "torchrun"});
  expectInfo(kOpenMpi, {1, 4, 1, 4, "openmpi"});
  expectInfo(kMpich, {0, 2, 0, 2, "mpich"});
  expectInfo(kSlurm, {6, 7, 2, 3, "slurm"});
  expectInfo({{"TUTTI_RANK", "1"}, {"TUTTI_SIZE", "3"}}, {1, 3, -1, -1, "tutti"});
}

TEST(Launcher, Precedence) {
  Variables all = kTorch;
  all.insert(kOpenMpi.begin(), kOpenMpi.end());
  all.insert(kSlurm.begin(), kSlurm.end());
  expectInfo(all, {5, 8, 1, 4, "torchrun"});
  Variables mpiInSlurm = kOpenMpi;
  mpiInSlurm.insert(kSlurm.begin(), kSlurm.end());
  expectInfo(mpiInSlurm, {1, 4, 1, 4, "openmpi"});
  all["TUTTI_RANK"] = "0";
  all["TUTTI_SIZE"] = "2";
  expectInfo(all, {0, 2, -1, -1, "tutti"});
  Variables ignored = kTorch;
  ignored["TUTTI_IGNORE_LAUNCHER"] = "1";
  expectInfo(ignored, {});
}

// Variables of the later launcher that the earlier one's are laid over.
std::string warningOf(Variables inner, const Variables& outer) {
  inner.insert(outer.begin(), outer.end());
  const auto launch = read(inner);
  return launch.isOk() ? launch->warning : launch.status().toString();
}

Variables mpichOf(int rank, int size) {
  return {{"PMI_RANK", std::to_string(rank)}, {"PMI_SIZE", std::to_string(size)}};
}

TEST(Launcher, ContradictingLaunchersAreNamed) {
  // Left over from a launch around the job's submission: every process would be rank 0 of 1.
  const std::string stale =
      warningOf({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}, kSlurm);
  EXPECT_NE(stale.find("openmpi says rank 0 of 1"), std::string::npos) << stale;
  EXPECT_NE(stale.find("slurm says rank 6 of 7"), std::string::npos) << stale;
  EXPECT_NE(stale.find("unset OMPI_COMM_WORLD_RANK"), std::string::npos) << stale;
  EXPECT_NE(warningOf(mpichOf(1, 7), kSlurm), "");
  EXPECT_NE(warningOf(kOpenMpi, mpichOf(3, 4)), "");
}

TEST(Launcher, NestedLaunchersAreInOrder) {
  EXPECT_EQ(warningOf(kTorch, kOpenMpi), "");  // an agent for each of 4 groups of 2 ranks
  EXPECT_EQ(warningOf(kOpenMpi, mpichOf(1, 4)), "");
  Variables agent = kSlurm;
  agent["SLURM_STEP_NUM_TASKS"] = "3";
  agent["SLURM_PROCID"] = "2";
  agent["SLURM_STEP_TASKS_PER_NODE"] = "2,1";
  agent["SLURM_LOCALID"] = "0";
  EXPECT_EQ(warningOf(kOpenMpi, agent), "");
  // Who says it explicitly knows what he does.
  EXPECT_EQ(warningOf({{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}}, kTorch), "");
}

// srun --mpi=pmi2 sets both; Slurm knows the job's name.
TEST(Launcher, SlurmsPmiIsSlurm) {
  Variables both = kSlurm;
  both.merge(mpichOf(6, 7));
  expectInfo(both, {6, 7, 2, 3, "slurm"});
  EXPECT_EQ(read(both)->jobName, "99.0");
  EXPECT_EQ(read(both)->warning, "");
}

TEST(Launcher, WrappersHaveTheRanksVariables) {
  const auto isSame = [](const LauncherInfo& info, const Variables& mine, const Variables& other) {
    const auto lookup = [](const Variables& variables) -> Lookup {
      return [&variables](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      };
    };
    return isSameRank(info, lookup(mine), lookup(other));
  };
  Variables rank = mpichOf(0, 2);
  rank["PMI_FD"] = "17";
  Variables around = rank;
  around["PMI_FD"] = "6";
  const LauncherInfo mpich{0, 2, 0, 2, "mpich"};
  EXPECT_TRUE(isSame(mpich, rank, rank));
  EXPECT_FALSE(isSame(mpich, rank, around));  // a launch by a rank of another one
  EXPECT_FALSE(isSame(mpich, rank, mpichOf(1, 2)));
  EXPECT_FALSE(isSame(mpich, rank, {}));
  // A wrapper that passes MPICH's variables on as explicit ones.
  Variables renamed = rank;
  renamed.insert({{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"}});
  EXPECT_TRUE(isSame({0, 2, -1, -1, "tutti"}, renamed, rank));
}

TEST(Launcher, BatchScriptIsNoRank) {
  Variables batch = kSlurm;
  batch.erase("SLURM_STEP_ID");
  expectInfo(batch, {});
}

TEST(Launcher, LoneWordsAreSomebodyElses) { expectInfo({{"RANK", "captain"}}, {}); }

TEST(Launcher, ContradictionsAreErrors) {
  const Variables bad[] = {
      {{"TUTTI_RANK", "1"}},
      {{"TUTTI_SIZE", "1"}},
      {{"TUTTI_RANK", "3"}, {"TUTTI_SIZE", "3"}},
      {{"PMI_RANK", "0"}},
      {{"OMPI_COMM_WORLD_SIZE", "2"}},
      {{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}},
      {{"RANK", "0"}, {"LOCAL_RANK", "0"}},
      {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "3"}, {"MPI_LOCALNRANKS", "2"}}};
  for (const Variables& variables : bad) {
    const auto launch = read(variables);
    ASSERT_FALSE(launch.isOk()) << variables.begin()->first;
    EXPECT_EQ(launch.status().errorId(), base::kErrLauncherContradiction);
  }
}

TEST(Launcher, Addresses) {
  EXPECT_EQ(read(kTorch)->address, "n1:29501");
  const std::string slurm = read(kSlurm)->address;
  EXPECT_TRUE(slurm.starts_with("gpu003:2") || slurm.starts_with("gpu003:3")) << slurm;
  Variables named = kTorch;
  named["TUTTI_ADDR"] = "h:5";
  EXPECT_EQ(read(named)->address, "h:5");
  EXPECT_EQ(read(kOpenMpi)->address, "");
  EXPECT_EQ(read(kOpenMpi)->jobName, "123456");
  EXPECT_EQ(read(kSlurm)->jobName, "99.0");
}

TEST(Launcher, SlurmLists) {
  EXPECT_EQ(firstHost("gpu[003-007,9],login"), "gpu003");
  EXPECT_EQ(firstHost("a,b[1-2]"), "a");
  EXPECT_EQ(firstHost("n[7]"), "n7");
  EXPECT_EQ(firstHost("solo"), "solo");
  EXPECT_EQ(countOfNode("4(x2),3", 0), 4);
  EXPECT_EQ(countOfNode("4(x2),3", 1), 4);
  EXPECT_EQ(countOfNode("4(x2),3", 2), 3);
  EXPECT_EQ(countOfNode("4(x2),3", 3), -1);
}

class LaunchFileTest : public testing::Test {
 protected:
  LaunchFileTest() {
    char pattern[] = "/tmp/tutti-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    path_ = directory_ + "/" + launchFileName({"a launch"});
  }
  ~LaunchFileTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
};

UniqueId someId(uint8_t byte) {
  UniqueId id;
  id.bytes.fill(std::byte{byte});
  return id;
}

TEST_F(LaunchFileTest, WaitsForTheWriter) {
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(150));
    EXPECT_TRUE(writeLaunchFile(path_, someId(7)).isOk());
  });
  const auto id = awaitLaunchFile(path_, milliseconds(10000), "");
  writer.join();
  ASSERT_TRUE(id.isOk()) << id.status().toString();
  EXPECT_EQ(*id, someId(7));
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LaunchFileTest, IgnoresWhatADeadProcessLeft) {
  Processes processes;
  ASSERT_EQ(processes.wait(
                processes.start([&] { return writeLaunchFile(path_, someId(1)).isOk() ? 0 : 1; })),
            0);
  const auto stale = awaitLaunchFile(path_, milliseconds(200), "is there");
  EXPECT_EQ(stale.status().errorId(), base::kErrJoinTimeout);
  ASSERT_TRUE(writeLaunchFile(path_, someId(2)).isOk());
  EXPECT_EQ(*awaitLaunchFile(path_, milliseconds(200), ""), someId(2));
}

TEST_F(LaunchFileTest, RemovesOnlyItsOwn) {
  ASSERT_TRUE(writeLaunchFile(path_, someId(2)).isOk());
  removeLaunchFile(path_, someId(1));
  EXPECT_TRUE(std::filesystem::exists(path_));
  removeLaunchFile(path_, someId(2));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(LaunchFileTest, SweepsWhatTheDeadLeft) {
  const auto pathOf = [&](const char* name) { return directory_ + "/" + launchFileName({name}); };
  Processes processes;
  const size_t killed = processes.start([&] {
    const bool isWritten = writeLaunchFile(pathOf("killed"), someId(1)).isOk();
    return isWritten ? raise(SIGKILL) : 1;
  });
  EXPECT_EQ(processes.wait(killed), -1);
  const std::string halfWritten = pathOf("half") + ".1f";
  const std::string beingWritten = pathOf("begun") + ".2e";
  const std::string foreign = directory_ + "/notes";
  for (const auto& path : {halfWritten, beingWritten, foreign}) std::ofstream(path) << "x";
  for (const auto& path : {halfWritten, foreign}) {
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }
  ASSERT_TRUE(writeLaunchFile(path_, someId(2)).isOk());
  ASSERT_TRUE(std::filesystem::exists(pathOf("killed")));
  sweepLaunchDirectory(directory_);
  EXPECT_FALSE(std::filesystem::exists(pathOf("killed")));
  EXPECT_FALSE(std::filesystem::exists(halfWritten));
  EXPECT_TRUE(std::filesystem::exists(beingWritten));
  EXPECT_TRUE(std::filesystem::exists(foreign));
  EXPECT_TRUE(std::filesystem::exists(path_));
  sweepLaunchDirectory(directory_ + "/missing");
}

TEST_F(LaunchFileTest, DirectoryOfOthersIsRefused) {
  setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  ASSERT_EQ(mkdir((directory_ + "/tutti").c_str(), 0755), 0);
  EXPECT_EQ(launchDirectory().status().errorId(), base::kErrLaunchFile);
  ASSERT_EQ(chmod((directory_ + "/tutti").c_str(), 0700), 0);
  EXPECT_TRUE(launchDirectory().isOk());
  unsetenv("XDG_RUNTIME_DIR");
}

// Each rank is a process of its own with a launcher's variables; nothing else connects them.
void launchAndJoin(const std::map<std::string, std::string>& common, int size) {
  Processes processes;
  for (int rank = 0; rank < size; ++rank) {
    processes.start([&, rank] {
      for (const auto& [name, value] : common) setenv(name.c_str(), value.c_str(), 1);
      setenv("TUTTI_RANK", std::to_string(rank).c_str(), 1);
      setenv("TUTTI_SIZE", std::to_string(size).c_str(), 1);
      const auto info = detectLauncher();
      if (!info || info->rank != rank) return 1;
      for (const char* tag : {"a", "b", "a"}) {
        const auto id = launcherUniqueId(*info, tag);
        if (!id) {
          fprintf(stderr, "%s\n", id.status().toString().c_str());
          return 2;
        }
        auto plane = joinAs(*id, rank, size);
        if (!plane) {
          fprintf(stderr, "%s\n", plane.status().toString().c_str());
          return 3;
        }
        const auto values = (*plane)->allGather(tag);
        if (!values || values->back() != tag) return 4;
        (*plane)->announceLeave();
      }
      return 0;
    });
  }
  for (int rank = 0; rank < size; ++rank) EXPECT_EQ(processes.wait(static_cast<size_t>(rank)), 0);
}

// What the test below runs, each behind a wrapper: no test of its own.
TEST(WrappedRank, DISABLED_Joins) {
  const auto info = detectLauncher();
  ASSERT_TRUE(info.isOk() && info->size > 1) << "not started by a launcher";
  const auto id = launcherUniqueId(*info, "wrapped");
  ASSERT_TRUE(id.isOk()) << id.status().toString();
  auto plane = joinAs(*id, info->rank, info->size);
  ASSERT_TRUE(plane.isOk()) << plane.status().toString();
  (*plane)->announceLeave();
}

// Starts `size` ranks, each as the grandchild of this process below two shells.
void launchWrapped(const Variables& common, const char* rankName, int size) {
  constexpr const char* kWrapper =
      "sh -c '\"$0\" --gtest_also_run_disabled_tests "
      "--gtest_filter=WrappedRank.DISABLED_Joins; exit $?' \"$0\"; exit $?";
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  Processes processes;
  for (int rank = 0; rank < size; ++rank) {
    processes.start([&, rank] {
      for (const auto& [name, value] : common) setenv(name.c_str(), value.c_str(), 1);
      setenv(rankName, std::to_string(rank).c_str(), 1);
      execl("/bin/sh", "sh", "-c", kWrapper, self.c_str(), nullptr);
      return 1;
    });
  }
  for (int rank = 0; rank < size; ++rank) EXPECT_EQ(processes.wait(static_cast<size_t>(rank)), 0);
}

TEST_F(LaunchFileTest, RanksBehindWrappersMeet) {
  const Variables common = {{"XDG_RUNTIME_DIR", directory_}, {"TUTTI_TIMEOUT", "5"}};
  Variables mpich = common;
  mpich.insert({{"PMI_SIZE", "3"}, {"PMI_FD", "5"}});
  launchWrapped(mpich, "PMI_RANK", 3);
  Variables explicitly = common;
  explicitly["TUTTI_SIZE"] = "2";
  launchWrapped(explicitly, "TUTTI_RANK", 2);
}

// Runs body in a child of a child that runs prepare first.
int runBelow(const std::function<bool()>& prepare, const std::function<int()>& body) {
  constexpr int kSkip = 77;
  Processes processes;
  return processes.wait(processes.start([&] {
    if (!prepare()) return kSkip;
    Processes inner;
    return inner.wait(inner.start(body));
  }));
}

int namesARemedy() {
  const auto parent = launchParent([](const Lookup&) { return true; });
  const std::string text = parent.status().toString();
  const bool isGood = parent.status().errorId() == base::kErrNoLaunchAddress &&
                      text.find("TUTTI_JOB_ID") != std::string::npos &&
                      text.find("TUTTI_ADDR") != std::string::npos;
  if (!isGood) fprintf(stderr, "%s\n", text.c_str());
  return isGood ? 0 : 1;
}

TEST(LaunchParent, HiddenEnvironmentIsAnErrorAtOnce) {
  const auto hide = [] {
    const bool isNobody = geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);
    return isNobody && prctl(PR_SET_DUMPABLE, 0) == 0;
  };
  const int code = runBelow(hide, namesARemedy);
  if (code == 77) GTEST_SKIP() << "this user can not become another";
  EXPECT_EQ(code, 0);
}

// As where each rank has a container: all above it, up to init, is the rank's.
TEST(LaunchParent, ContainerOfItsOwnIsAnErrorAtOnce) {
  const auto contain = [] { return unshare(CLONE_NEWPID | CLONE_NEWNS) == 0; };
  const int code = runBelow(contain, [] {
    const bool isMounted = mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           mount("proc", "/proc", "proc", 0, nullptr) == 0;
    return isMounted ? namesARemedy() : 77;
  });
  if (code == 77) GTEST_SKIP() << "new namespaces are not permitted";
  EXPECT_EQ(code, 0);
}

TEST_F(LaunchFileTest, ProcessesOfOneHostMeetByFile) {
  launchAndJoin({{"XDG_RUNTIME_DIR", directory_}}, 4);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/tutti"));
}

// A port that was free a moment ago.
std::string freePort() {
  const uint16_t port = decodeUniqueId(newId())->addresses.front().port;
  return std::to_string(port - 1000 > 1024 ? port - 1000 : port);
}

TEST_F(LaunchFileTest, ProcessesMeetAtAnAddress) {
  // Made in a child, as this process must stay free of threads.
  Shared<std::array<char, 16>> port;
  Processes processes;
  processes.wait(processes.start([&] {
    strncpy(port->data(), freePort().c_str(), port->size() - 1);
    return 0;
  }));
  launchAndJoin({{"TUTTI_ADDR", std::string("127.0.0.1:") + port->data()},
                 {"TUTTI_SECRET", "a shared secret"}},
                3);
}

TEST_F(LaunchFileTest, WrongSecretAtAnAddressIsAnError) {
  Shared<std::array<char, 16>> port;
  Processes processes;
  processes.wait(processes.start([&] {
    strncpy(port->data(), freePort().c_str(), port->size() - 1);
    return 0;
  }));
  for (int rank = 0; rank < 2; ++rank) {
    processes.start([&, rank] {
      setenv("TUTTI_ADDR", (std::string("127.0.0.1:") + port->data()).c_str(), 1);
      setenv("TUTTI_SECRET", rank == 0 ? "right" : "wrong", 1);
      const auto id = launcherUniqueId({rank, 2, -1, -1, "tutti"}, "");
      if (!id) return 1;
      const auto plane = joinAs(*id, rank, 2, milliseconds(1200));
      const int expected = rank == 0 ? base::kErrJoinTimeout : base::kErrWrongSecret;
      if (plane.status().errorId() == expected) return 0;
      // The clocks run on their own: rank 0 may be gone when rank 1 looks last.
      fprintf(stderr, "rank %d: %s\n", rank, plane.status().toString().c_str());
      return rank == 1 && plane.status().errorId() == base::kErrUnreachable ? 0 : 2;
    });
  }
  EXPECT_EQ(processes.wait(1), 0);
  EXPECT_EQ(processes.wait(2), 0);
}

}  // namespace
}  // namespace tutti::bootstrap::test
