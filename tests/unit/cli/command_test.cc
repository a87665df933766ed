// The command as people run it: exit codes, output, and ranks that die.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

struct Output {
  int code = -1;
  std::string out;
  std::string error;
};

std::string readFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The running command; its output goes to files.
class Command {
 public:
  explicit Command(std::vector<std::string> arguments) {
    base_ = testing::TempDir() + "tutti_command_" + std::to_string(getpid());
    arguments.insert(arguments.begin(), TUTTI_COMMAND);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(open(outPath().c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), 1);
      dup2(open(errorPath().c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), 2);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }

  pid_t pid() const { return pid_; }
  std::string outSoFar() const { return readFile(outPath()); }

  // The processes it started.
  std::vector<pid_t> children() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) +
                       "/children");
    std::vector<pid_t> found;
    for (pid_t child = 0; file >> child;) found.push_back(child);
    return found;
  }

  Output wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    Output output{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), readFile(outPath()),
                  readFile(errorPath())};
    unlink(outPath().c_str());
    unlink(errorPath().c_str());
    return output;
  }

 private:
  std::string outPath() const { return base_ + ".out"; }
  std::string errorPath() const { return base_ + ".err"; }

  std::string base_;
  pid_t pid_ = -1;
};

Output run(std::vector<std::string> arguments) { return Command(std::move(arguments)).wait(); }

TEST(Command, SaysItsVersion) {
  const auto output = run({"--version"});
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.out.rfind("tutti ", 0), 0u) << output.out;
}

TEST(Command, HelpsWhoAsks) {
  for (const auto& arguments : {std::vector<std::string>{"--help"}, {"demo", "--help"}}) {
    const auto output = run(arguments);
    EXPECT_EQ(output.code, 0);
    EXPECT_NE(output.out.find("demo"), std::string::npos);
    EXPECT_EQ(output.error, "");
  }
}

TEST(Command, RefusesWrongUsage) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"nothing"},
                                                       {"demo", "--ranks", "0"},
                                                       {"demo", "--ranks", "65"},
                                                       {"demo", "--ranks", "two"},
                                                       {"demo", "--max-bytes", "lots"},
                                                       {"demo", "--max-bytes", "1"},
                                                       {"demo", "--threads", "--processes"},
                                                       {"info", "--nothing"}};
  for (const auto& arguments : wrong) {
    const auto output = run(arguments);
    EXPECT_EQ(output.code, 2) << testing::PrintToString(arguments);
    EXPECT_NE(output.error, "") << testing::PrintToString(arguments);
  }
}

TEST(Command, NamesTheCommandsToWhoKnowsNone) {
  for (const auto& arguments : {std::vector<std::string>{}, {"topology"}, {"bogus", "--help"}}) {
    const auto output = run(arguments);
    EXPECT_EQ(output.code, 2);
    EXPECT_EQ(output.out, "");
    for (const char* name : {"demo", "info", "plan", "sim", "topo"}) {
      EXPECT_NE(output.error.find(name), std::string::npos) << output.error;
    }
  }
  EXPECT_NE(run({"bogus"}).error.find("unknown command \"bogus\"\n"), std::string::npos);
  EXPECT_NE(run({"inof"}).error.find("did you mean info?"), std::string::npos);
}

TEST(Info, IsTextOrJson) {
  const auto text = run({"info"});
  EXPECT_EQ(text.code, 0);
  EXPECT_NE(text.out.find("TUTTI_TIMEOUT"), std::string::npos);
  const auto output = run({"info", "--json"});
  EXPECT_EQ(output.code, 0);
  const json all = json::parse(output.out, nullptr, false);
  ASSERT_TRUE(all.is_object()) << output.out;
  EXPECT_FALSE(all["devices"].empty());
  EXPECT_FALSE(all["transports"].empty());
}

// A file that is gone with the test.
class File {
 public:
  File(const std::string& name, const std::string& text)
      : path_(testing::TempDir() + "tutti_" + std::to_string(getpid()) + "_" + name) {
    std::ofstream(path_) << text;
  }
  ~File() { unlink(path_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const char kPair[] = R"({"name": "pair",
 "nodes": [{"id": "g0", "kind": "rank"}, {"id": "g1", "kind": "rank"}, {"id": "n", "kind": "nic"}],
 "links": [{"a": "g0", "b": "g1", "gb_per_s": 300}, {"a": "g0", "b": "n", "gb_per_s": 25}]})";

TEST(Topo, ShowsThisMachine) {
  const auto output = run({"topo"});
  EXPECT_EQ(output.code, 0) << output.error;
  EXPECT_NE(output.out.find("ranks to ranks"), std::string::npos) << output.out;
}

TEST(Topo, ShowsAFile) {
  const File file("pair.json", kPair);
  const auto output = run({"topo", file.path()});
  EXPECT_EQ(output.code, 0) << output.error;
  EXPECT_EQ(output.error, "");
  EXPECT_NE(output.out.find("0  g0        X  DEV 300\n"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("0  g0  PIX 25\n"), std::string::npos) << output.out;
}

TEST(Topo, JoinsMachines) {
  const File file("pair.json", kPair);
  const auto output = run({"topo", file.path(), file.path(), "--copies", "2", "--network",
                           "rails:50", "--degrade", "3=1/2", "--json", "-"});
  ASSERT_EQ(output.code, 0) << output.error;
  const json made = json::parse(output.out, nullptr, false);
  ASSERT_TRUE(made.is_object()) << output.out;
  EXPECT_EQ(made["nodes"].size(), 13u);
  EXPECT_EQ(made["nodes"][9]["id"], "m3/g0");
  EXPECT_EQ(made["links"].back()["gb_per_s"], 25);
  EXPECT_EQ(made["links"][8]["gb_per_s"], 50);
  const File whole("whole.json", output.out);
  const json again = json::parse(run({"topo", whole.path(), "--json", "-"}).out, nullptr, false);
  EXPECT_EQ(again["nodes"], made["nodes"]) << "what it wrote, it reads";
  EXPECT_EQ(again["links"], made["links"]);
}

TEST(Topo, WritesEveryForm) {
  const File file("pair.json", kPair);
  const std::pair<const char*, const char*> forms[] = {
      {"--svg", "<svg "}, {"--dot", "digraph "}, {"--json", "{"}, {"--xml", "<system "}};
  for (const auto& [option, start] : forms) {
    const auto output = run({"topo", file.path(), option, "-"});
    EXPECT_EQ(output.code, 0) << option << output.error;
    EXPECT_NE(output.out.substr(0, 200).find(start), std::string::npos)
        << output.out.substr(0, 200);
    const File made("made", "");
    const auto written = run({"topo", file.path(), option, made.path()});
    EXPECT_EQ(written.code, 0) << written.error;
    EXPECT_EQ(readFile(made.path()), output.out);
    EXPECT_NE(written.out.find("ranks to ranks"), std::string::npos);
  }
}

TEST(Topo, SaysWhatIsWrong) {
  const File file("pair.json", kPair);
  const File broken("broken.json", "{\"nodes\": [\n{\"id\": \"a\"}]}");
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"/nowhere/x.json"}, "/nowhere/x.json"},
      {{broken.path()}, ":2:1: "},
      {{file.path(), "--copies", "2"}, "need a network"},
      {{file.path(), file.path()}, "need a network"},
      {{file.path(), "--degrade", "0=1/2"}, "--network"},
      {{file.path(), "--copies", "0"}, "--copies"},
      {{file.path(), "--network", "ring:5"}, "star"},
      {{file.path(), "--network", "star", "--degrade", "7=1/2"}, "machine 7"},
      {{file.path(), "--svg", "/nowhere/x.svg"}, "/nowhere/x.svg"}};
  for (const auto& [arguments, part] : wrong) {
    std::vector<std::string> all{"topo"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto output = run(all);
    EXPECT_EQ(output.code, 2) << testing::PrintToString(all);
    EXPECT_NE(output.error.find(part), std::string::npos) << output.error;
  }
}

const char kStar[] = R"({"name": "star",
 "nodes": [{"id": "a", "kind": "rank"}, {"id": "b", "kind": "rank"}, {"id": "c", "kind": "rank"},
           {"id": "d", "kind": "rank"}, {"id": "s", "kind": "switch"}],
 "links": [{"a": "a", "b": "s", "gb_per_s": 4, "latency_us": 5},
           {"a": "b", "b": "s", "gb_per_s": 4, "latency_us": 5},
           {"a": "c", "b": "s", "gb_per_s": 4, "latency_us": 5},
           {"a": "d", "b": "s", "gb_per_s": 1, "latency_us": 5}]})";

TEST(Sim, IsTextOrJson) {
  const File file("star.json", kStar);
  const auto text = run({"sim", file.path(), "--bytes", "64M"});
  EXPECT_EQ(text.code, 0) << text.error;
  EXPECT_NE(text.out.find("all_reduce of 64 MiB over 4 ranks on star: trees"), std::string::npos)
      << text.out;
  EXPECT_NE(text.out.find("of the bound"), std::string::npos) << text.out;
  for (const char* collective : {"all_reduce", "AllGather", "broadcast", "all_to_all", "gather"}) {
    const auto output = run({"sim", file.path(), "--bytes", "64M", "--coll", collective, "--json"});
    ASSERT_EQ(output.code, 0) << output.error;
    const json all = json::parse(output.out, nullptr, false);
    ASSERT_TRUE(all.is_object()) << output.out;
    EXPECT_EQ(all["ranks"], 4);
    EXPECT_GT(all["bound_share"], 0.3) << collective;
    EXPECT_LE(all["bound_share"], 1.0001) << collective;
    EXPECT_FALSE(all["busiest_links"].empty());
  }
}

TEST(Plan, IsKeptUnlessAskedNotTo) {
  const File file("star.json", kStar);
  std::string folder = testing::TempDir() + "tutti_plans_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  setenv("TUTTI_CACHE_DIR", folder.c_str(), 1);
  const auto planned = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"plan", file.path(), "--json"});
    const auto output = run(std::move(arguments));
    EXPECT_EQ(output.code, 0) << output.error;
    EXPECT_EQ(output.error, "");
    json all = json::parse(output.out, nullptr, false);
    all.erase("planning_ms");
    return all;
  };
  const json fresh = planned({"--no-cache"});
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_EQ(planned({}), fresh);
  EXPECT_FALSE(std::filesystem::is_empty(folder));
  EXPECT_EQ(planned({}), fresh);
  for (const auto& kept : std::filesystem::directory_iterator(folder)) {
    std::ofstream(kept.path()) << "tutti";
  }
  const auto damaged = run({"sim", file.path(), "--bytes", "1M"});
  EXPECT_EQ(damaged.code, 0);
  EXPECT_NE(damaged.error.find("planning again"), std::string::npos) << damaged.error;
  EXPECT_EQ(planned({}), fresh);
  unsetenv("TUTTI_CACHE_DIR");
  std::filesystem::remove_all(folder);
}

TEST(Plan, HasASecondOpinion) {
  const File file("star.json", kStar);
  for (const bool isBoundOnly : {false, true}) {
    std::vector<std::string> arguments{"plan", file.path(), "--second-opinion", "--no-cache"};
    if (isBoundOnly) arguments.push_back("--bound-only");
    const auto text = run(arguments);
    EXPECT_EQ(text.code, 0) << text.error;
    EXPECT_NE(text.out.find("by multiplicative weights"), std::string::npos) << text.out;
    EXPECT_NE(text.out.find("agrees with the bound"), std::string::npos) << text.out;
    arguments.push_back("--json");
    const json all = json::parse(run(arguments).out, nullptr, false);
    ASSERT_TRUE(all.is_object());
    const json& opinion = all["second_opinion"];
    EXPECT_EQ(opinion["agrees"], true) << opinion;
    EXPECT_LE(opinion["at_least_gb_per_s"], all["bound_gb_per_s"]);
    EXPECT_GE(opinion["at_most_gb_per_s"], all["bound_gb_per_s"]);
    EXPECT_GT(opinion["trees"], 0);
  }
  const auto other = run({"plan", file.path(), "--second-opinion", "--coll", "all_gather"});
  EXPECT_EQ(other.code, 0) << other.error;
  EXPECT_NE(other.out.find("not applicable"), std::string::npos) << other.out;
}

TEST(Sim, TakesAnotherAlgorithmChunkAndWindow) {
  const File file("star.json", kStar);
  const auto timeOf = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"sim", file.path(), "--bytes", "64M", "--json"});
    const auto output = run(std::move(arguments));
    EXPECT_EQ(output.code, 0) << output.error;
    const json all = json::parse(output.out, nullptr, false);
    return all.is_object() ? all["simulated_us"].get<double>() : 0;
  };
  const double best = timeOf({});
  EXPECT_GT(timeOf({"--algo", "ring"}), 1.2 * best)
      << "the slow link is passed as often as the others";
  EXPECT_GT(timeOf({"--chunk", "1K"}), 1.5 * best) << "no more than four kilobytes on their way";
  EXPECT_GT(timeOf({"--slots", "1"}), best);
}

// What the plan runs, written down, proved, and simulated again from the file.
TEST(Plan, WritesWhatRanksRun) {
  const File file("star.json", kStar);
  const File algorithm("algorithm.xml", "");
  const auto one = run({"plan", file.path(), "--no-cache", "--schedule", "-", "--rank", "2"});
  EXPECT_EQ(one.code, 0) << one.error;
  EXPECT_TRUE(one.out.starts_with("schedule all_reduce trees rank 2 of 4 root 0\n")) << one.out;
  EXPECT_EQ(one.out.find("rank 1 of 4"), std::string::npos);
  const auto xml = run({"plan", file.path(), "--no-cache", "--msccl", algorithm.path()});
  EXPECT_EQ(xml.code, 0) << xml.error;
  EXPECT_NE(xml.out.find("Planned in"), std::string::npos) << xml.out;
  const auto checked = run({"check", algorithm.path()});
  EXPECT_EQ(checked.code, 0) << checked.error;
  EXPECT_NE(checked.out.find("is a right all_reduce among 4 ranks"), std::string::npos)
      << checked.out;
  const auto share = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"sim", file.path(), "--no-cache", "--json", "--bytes", "64M"};
    all.insert(all.end(), more.begin(), more.end());
    const auto output = run(all);
    EXPECT_EQ(output.code, 0) << output.error;
    return json::parse(output.out)["bound_share"].get<double>();
  };
  EXPECT_NEAR(share({"--msccl", algorithm.path()}), share({}), 0.1);
}

TEST(Plan, SaysWhichOutputsExcludeEachOther) {
  const File file("star.json", kStar);
  const File broken("broken.xml", "<algo name=\"x\" ngpus=\"2\" coll=\"allreduce\">\n<gpu/>");
  const File two("two.xml", R"(<algo name="none" proto="Simple" nchannels="1" nchunksperloop="1"
 ngpus="2" coll="broadcast"><gpu id="0" i_chunks="1" o_chunks="1" s_chunks="0"/>
 <gpu id="1" i_chunks="1" o_chunks="1" s_chunks="0"/></algo>)");
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{"plan", file.path(), "--msccl", "-", "--json"}, "--json and a schedule"},
      {{"plan", file.path(), "--msccl", "-", "--schedule", "-"}, "name a file for one"},
      {{"plan", file.path(), "--schedule", "-", "--bound-only"}, "makes no plan"},
      {{"plan", file.path(), "--rank", "1"}, "whose --schedule"},
      {{"plan", file.path(), "--schedule", "-", "--rank", "4"}, "there are 4 ranks"},
      {{"plan", file.path(), "--msccl", "/dev/full"}, "cannot write /dev/full"},
      {{"check", "/nowhere.xml"}, "cannot read /nowhere.xml"},
      {{"check", broken.path()}, "broken.xml:2"},
      {{"check", two.path()}, "two.xml"},
      {{"sim", file.path(), "--msccl", broken.path()}, "broken.xml:2"},
      {{"sim", file.path(), "--msccl", two.path(), "--algo", "ring"}, "leave out --algo"}};
  for (const auto& [arguments, part] : wrong) {
    const auto output = run(arguments);
    EXPECT_EQ(output.code, 2) << testing::PrintToString(arguments);
    EXPECT_NE(output.error.find(part), std::string::npos) << output.error;
  }
}

TEST(Sim, SaysWhatIsWrong) {
  const File file("star.json", kStar);
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"/nowhere/x.json"}, "/nowhere/x.json"},
      {{file.path(), "--coll", "nothing"}, "collective \"nothing\""},
      {{file.path(), "--coll", "send"}, "send"},
      {{file.path(), "--coll", "all_to_all_v"}, "all_to_all_v"},
      {{file.path(), "--bytes", "lots"}, "size \"lots\""},
      {{file.path(), "--bytes", "0"}, "--bytes 0"},
      {{file.path(), "--bytes", "2", "--coll", "all_gather"}, "at least 4 B"},
      {{file.path(), "--root", "4", "--coll", "reduce"}, "root"},
      {{file.path(), "--algo", "nope"}, "ring"},
      {{file.path(), "--chunk", "100"}, "128"},
      {{file.path(), "--slots", "0"}, "--slots"},
      {{file.path(), "--copies", "2"}, "need a network"}};
  for (const auto& [arguments, part] : wrong) {
    std::vector<std::string> all{"sim"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto output = run(all);
    EXPECT_EQ(output.code, 2) << testing::PrintToString(all);
    EXPECT_NE(output.error.find(part), std::string::npos) << output.error;
  }
}

void expectGoodDemo(const Output& output, int ranks, size_t rows) {
  ASSERT_EQ(output.code, 0) << output.out << output.error;
  const json all = json::parse(output.out, nullptr, false);
  ASSERT_TRUE(all.is_object()) << output.out;
  EXPECT_EQ(all["ranks"], ranks);
  EXPECT_EQ(all["collectives"].size(), 15u);
  for (const auto& check : all["collectives"]) EXPECT_EQ(check["wrong"], 0) << check;
  EXPECT_EQ(all["all_reduce"].size(), 2 * rows);
  for (const auto& row : all["all_reduce"]) {
    EXPECT_EQ(row["wrong"], 0) << row;
    EXPECT_GT(row["time_us"], 0) << row;
    EXPECT_NE(row["algorithm"], "") << row;
  }
  EXPECT_TRUE(all["problems"].empty());
}

TEST(Demo, RunsProcesses) {
  expectGoodDemo(run({"demo", "--ranks", "3", "--max-bytes", "64K", "--json"}), 3, 5);
}

TEST(Demo, RunsThreads) {
  expectGoodDemo(run({"demo", "--ranks", "2", "--threads", "--max-bytes", "1K", "--json"}), 2, 3);
}

TEST(Demo, RunsAlone) {
  expectGoodDemo(run({"demo", "--ranks", "1", "--max-bytes", "1M", "--json"}), 1, 7);
}

TEST(Demo, PrintsOneTableAndNothingElse) {
  const auto output = run({"demo", "--ranks", "2", "--max-bytes", "8K"});
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.error, "");
  EXPECT_NE(output.out.find("reduce_scatter_v"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("8 KiB"), std::string::npos) << output.out;
  std::istringstream lines(output.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 100u) << line;
  EXPECT_LT(count, 50) << "two screens at most";
}

// Waits until the ranks are at work: the first table was printed.
void awaitWork(const Command& command) {
  const auto end = Clock::now() + std::chrono::seconds(60);
  while (command.outSoFar().find("all_reduce") == std::string::npos && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

TEST(Demo, NamesARankThatIsKilled) {
  const Command command({"demo", "--ranks", "3", "--max-bytes", "64M"});
  awaitWork(command);
  const auto children = command.children();
  ASSERT_EQ(children.size(), 3u);
  const auto start = Clock::now();
  kill(children[1], SIGKILL);
  const auto output = command.wait();
  EXPECT_EQ(output.code, 5);
  const auto name = "rank 1 (process " + std::to_string(children[1]) + ") was killed by signal 9";
  EXPECT_NE(output.error.find(name), std::string::npos) << output.error;
  EXPECT_NE(output.error.find("TUTTI-E"), std::string::npos)
      << "survivors noticed: " << output.error;
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(15));
  for (const pid_t child : children) EXPECT_NE(kill(child, 0), 0) << "nobody is left behind";
}

TEST(Demo, TakesItsRanksAlongWhenItDies) {
  const Command command({"demo", "--ranks", "2", "--max-bytes", "64M"});
  awaitWork(command);
  const auto children = command.children();
  ASSERT_EQ(children.size(), 2u);
  kill(command.pid(), SIGKILL);
  EXPECT_EQ(command.wait().code, -SIGKILL);
  const auto isAlive = [](pid_t pid) {
    const std::string state = readFile("/proc/" + std::to_string(pid) + "/stat");
    return !state.empty() && state.find(") Z ") == std::string::npos;
  };
  const auto end = Clock::now() + std::chrono::seconds(10);
  for (const pid_t child : children) {
    while (isAlive(child) && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_FALSE(isAlive(child));
  }
}

}  // namespace
