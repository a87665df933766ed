// A driver without a fuzzing engine: mutates samples as a function of seed and number, in a child
// process, and says which input it died of. See README.md.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "topology/json.h"
#include "topology/load.h"
#include "topology/nccl_xml.h"

namespace tutti::topology {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestInput = size_t{1} << 16;
constexpr auto kLongestThought = std::chrono::seconds(20);

// Words that readers look for, and numbers at the edges of types.
constexpr const char* kWords[] = {"<pci busid=\"0000:12:00.0\">",
                                  "</pci>",
                                  "<gpu dev=\"0\" sm=\"90\"/>",
                                  "<cpu>",
                                  "</cpu>",
                                  "<nic><net speed=\"1\"/></nic>",
                                  "<nvlink target=\"fffffff:ff:ff.0\" count=\"9\"/>",
                                  "<!DOCTYPE a [<!ENTITY b \"c\">]>",
                                  "&b;",
                                  "&#0;",
                                  "<![CDATA[",
                                  "]]>",
                                  "<!--",
                                  "-->",
                                  "\"",
                                  "'",
                                  "<object type=\"NUMANode\" os_index=\"1\">",
                                  "</object>",
                                  "bridge_type=\"1-1\"",
                                  "nodeset=\"0x80000000,0x0\"",
                                  "{\"id\": \"x\", \"kind\": \"rank\"},",
                                  "{",
                                  "}",
                                  "[",
                                  "]",
                                  ",",
                                  ":",
                                  "null",
                                  "true",
                                  "\\u0000",
                                  "\\ud800",
                                  "\xEF\xBB\xBF",
                                  "\xFF\xFE",
                                  "class=\"0x068000\"",
                                  "fabric=\"\"",
                                  "host_hash=\"0x1\"",
                                  "rank=\"0\""};
constexpr const char* kNumbers[] = {"0",
                                    "-1",
                                    "1",
                                    "2147483647",
                                    "-2147483648",
                                    "4294967296",
                                    "9223372036854775807",
                                    "-9223372036854775808",
                                    "18446744073709551616",
                                    "1e308",
                                    "-1e-400",
                                    "0.0000001",
                                    "0x",
                                    "0xffffffffffffffff",
                                    "00000000000000000000",
                                    "NaN",
                                    ""};

using Random = std::mt19937_64;

size_t below(Random& random, size_t limit) {
  return limit == 0 ? 0 : static_cast<size_t>(random() % limit);
}

void replaceNumber(std::string& text, Random& random) {
  const size_t start = text.find_first_of("0123456789", below(random, text.size()));
  if (start == std::string::npos) return;
  const size_t end = text.find_first_not_of("0123456789.", start);
  text.replace(start, end == std::string::npos ? end : end - start,
               kNumbers[below(random, std::size(kNumbers))]);
}

void mutateOnce(std::string& text, Random& random, const std::vector<std::string>& samples) {
  const size_t at = below(random, text.size());
  const size_t length = below(random, 64);
  switch (below(random, 9)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 1: text.erase(at, length); break;
    case 2: text.insert(at, text.substr(below(random, text.size()), length * 4)); break;
    case 3: text.insert(at, kWords[below(random, std::size(kWords))]); break;
    case 4:
    case 5: replaceNumber(text, random); break;
    case 6: {
      const std::string& other = samples[below(random, samples.size())];
      text.replace(at, length * 8, other.substr(below(random, other.size()), length * 8));
      break;
    }
    case 7: text.resize(at); break;
    default: {
      // An element or a list many times over.
      const std::string part = text.substr(at, 16 + length);
      for (size_t i = below(random, 64); i > 0; --i) text.insert(at, part);
    }
  }
  if (text.size() > kLongestInput) text.resize(kLongestInput);
}

std::string input(uint64_t seed, uint64_t number, const std::vector<std::string>& samples) {
  std::seed_seq mixed{seed, seed >> 32, number, number >> 32};
  Random random(mixed);
  std::string text = samples[below(random, samples.size())];
  for (size_t i = 1 + below(random, 6); i > 0; --i) mutateOnce(text, random, samples);
  return text;
}

// What is wrong with the answer to this input; empty if nothing is.
std::string checkInput(const std::string& text) {
  const auto loaded = parseTopology(text, "input");
  if (!loaded) {
    const bool isNamed = loaded.status().text().starts_with("input");
    return isNamed && loaded.status().errorId() != 0
               ? ""
               : "error without the file: " + loaded.status().toString();
  }
  const Topology& topology = loaded->topology;
  if (!check(topology)) return "not planned for: " + check(topology).toString();
  const std::string json = toJson(topology);
  const auto again = parseJson(json, "json");
  const bool isText = json.find('\xEF') == std::string::npos;  // bytes that are no UTF-8 change
  if (!again && isText) return "JSON not read again: " + again.status().toString();
  if (again && isText && again->digest() != topology.digest()) return "JSON came back otherwise";
  const auto xml = toNcclXml(topology);
  if (!xml) return "";
  const auto back = parseTopology(xml->text, "xml");
  if (!back) return "XML not read again: " + back.status().toString();
  const bool isWhole = back->topology.ranks().size() == topology.ranks().size();
  return isWhole ? "" : "XML lost ranks";
}

int readInputs(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::ifstream stream(file, std::ios::binary);
    std::stringstream text;
    text << (file == "-" ? std::cin.rdbuf() : stream.rdbuf());
    const std::string wrong = checkInput(text.str());
    if (!wrong.empty()) {
      fmt::print(stderr, "{}: {}\n", file, wrong);
      return 1;
    }
  }
  return 0;
}

// Shared with the child: the number of the input it is at.
using Progress = std::atomic<uint64_t>;

[[noreturn]] void mutate(uint64_t seed, Clock::time_point end, Progress& progress,
                         const std::vector<std::string>& samples) {
  while (Clock::now() < end) {
    const uint64_t number = progress.fetch_add(1) + 1;
    const std::string wrong = checkInput(input(seed, number, samples));
    if (wrong.empty()) continue;
    fmt::print(stderr, "{}\n", wrong);
    _exit(1);
  }
  _exit(0);
}

// Exit status of the child, or -1 if it had to be stopped.
int watch(pid_t child, const Progress& progress) {
  uint64_t last = 0;
  auto since = Clock::now();
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return status;
    if (progress.load() != last) {
      last = progress.load();
      since = Clock::now();
    } else if (Clock::now() - since > kLongestThought) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

int run(double seconds, uint64_t seed, const std::vector<std::string>& files) {
  std::vector<std::string> samples;
  for (const std::string& file : files) {
    std::ifstream stream(file, std::ios::binary);
    samples.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    if (samples.back().empty()) fmt::print(stderr, "{}: empty or missing\n", file);
    if (samples.back().empty()) return 2;
  }
  void* page =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 2;
  auto* progress = new (page) Progress(0);
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  const pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) mutate(seed, end, *progress, samples);
  const int status = watch(child, *progress);
  if (status == 0) {
    fmt::print("{} inputs, seed {}: all well\n", progress->load(), seed);
    return 0;
  }
  const std::string name = fmt::format("fuzz_topology-{}-{}.txt", seed, progress->load());
  std::ofstream(name, std::ios::binary) << input(seed, progress->load(), samples);
  fmt::print(stderr, "input {} of seed {} {}: written to {}\n", progress->load(), seed,
             status == -1 ? "takes more than 20 s" : "fails", name);
  return 1;
}

int usage() {
  fmt::print(stderr,
             "usage: fuzz_topology --seconds N [--seed S] SAMPLE...   mutates samples\n"
             "       fuzz_topology FILE...                            reads these; - is stdin\n");
  return 2;
}

}  // namespace
}  // namespace tutti::topology

int main(int argc, char** argv) {
  double seconds = 0;
  uint64_t seed = 1;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool hasValue = i + 1 < argc;
    if (argument == "--seconds" && hasValue) {
      seconds = std::strtod(argv[++i], nullptr);
    } else if (argument == "--seed" && hasValue) {
      seed = std::strtoull(argv[++i], nullptr, 0);
    } else if (argument.starts_with("--")) {
      return tutti::topology::usage();
    } else {
      files.push_back(argument);
    }
  }
  if (files.empty()) return tutti::topology::usage();
  return seconds > 0 ? tutti::topology::run(seconds, seed, files)
                     : tutti::topology::readInputs(files);
}
