#include "transports/net_plugin/library.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <mutex>
#include <optional>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/fork.h"
#include "src/base/log.h"
#include "src/device/library.h"
#include "src/ir/schedule.h"
#include "transports/net_plugin/devices.h"
#include "transports/wire.h"

namespace tutti::transports::net_plugin {
namespace {

using base::Status;

constexpr size_t kLongestFrame = ir::Limits::kFifoSlotBytes + sizeof(Frame);
// More than any host has; what a plugin says beyond is a mistake of its own.
constexpr int kMostDevices = 1024;

bool isSameName(const std::string& a, const std::string& b) {
  return strcasecmp(a.c_str(), b.c_str()) == 0;
}

bool isNameOfFile(std::string_view word) {
  return word.find('/') != std::string_view::npos ||
         (word.starts_with("lib") && word.find(".so") != std::string_view::npos);
}

Status unusable(std::string text) {
  return {base::Code::kSystemError, base::kErrTransportFailed, std::move(text)};
}

// One word of TUTTI_NET_PLUGIN.
struct Candidate {
  std::string file;  // that was opened, or the first that was not
  std::unique_ptr<Plugin> plugin;
  std::string why;  // there is none
};

// Of files that are there and can not be loaded, the system's words; else which were looked for.
std::string whyNone(const std::vector<std::string>& files, std::vector<std::string> said) {
  std::erase_if(said, [&](const std::string& each) {
    const bool isOfFile = std::any_of(files.begin(), files.end(), [&](const std::string& file) {
      return each.starts_with(file + ":");  // and not of what it needs itself
    });
    return isOfFile && each.find("No such file") != std::string::npos;
  });
  if (!said.empty()) return fmt::format("{}", fmt::join(said, "; "));
  return fmt::format("there is no {}", fmt::join(files, " or "));
}

Candidate load(const std::vector<std::string>& files) {
  Candidate candidate;
  std::vector<std::string> said;
  for (const std::string& file : files) {
    auto library = device::Library::open({&file, 1});
    if (!library.isOk()) {
      said.emplace_back(library.status().text());
      continue;
    }
    candidate.file = file;
    candidate.plugin = findPlugin(*library);
    candidate.why =
        fmt::format("{} has no ncclNetPlugin_v{} to v{}", file, abi::kOldest, abi::kNewest);
    return candidate;
  }
  candidate.file = files.front();
  candidate.why = whyNone(files, said);
  return candidate;
}

// Loaded once, and for good.
const std::vector<Candidate>& candidates() {
  static const std::vector<Candidate>& loaded = *new std::vector<Candidate>([] {
    std::vector<Candidate> made;
    const auto& list = base::processConfig().get(base::param::kNetPlugin);
    for (const auto& files : filesOf(list)) made.push_back(load(files));
    return made;
  }());
  return loaded;
}

base::Result<std::vector<Device>> usableDevices(Plugin& plugin) {
  int count = 0;
  if (const auto result = plugin.countDevices(count); result != abi::kSuccess) {
    return failure(plugin, "devices", result);
  }
  if (count <= 0 || count > kMostDevices) {
    return unusable(fmt::format("net plugin {} finds {} devices", plugin.name(), count));
  }
  std::vector<Device> devices;
  std::string obstacles;
  for (int i = 0; i < count; ++i) {
    Device device;
    if (const auto result = plugin.describe(i, device); result != abi::kSuccess) {
      return failure(plugin, fmt::format("getProperties of device {}", i), result);
    }
    const std::string why = obstacle(device, kLongestFrame);
    if (why.empty())
      devices.push_back(std::move(device));
    else if (obstacles.empty())
      obstacles = why;
  }
  if (devices.empty()) {
    return unusable(fmt::format("net plugin {} has no fit device: {}", plugin.name(), obstacles));
  }
  return devices;
}

base::Result<Network> start(const Candidate& candidate) {
  Plugin& plugin = *candidate.plugin;
  const auto lacking = [&]() -> Status {
    const char* function = plugin.missing();
    return unusable(fmt::format("net plugin {} lacks the function {}", plugin.name(), function));
  };
  if (plugin.missing() != nullptr && std::string_view(plugin.missing()) == "init") return lacking();
  void* context = nullptr;
  if (const auto result = plugin.init(0, context); result != abi::kSuccess) {
    return failure(plugin, "init", result);
  }
  if (plugin.missing() != nullptr) return lacking();
  auto devices = usableDevices(plugin);
  if (!devices.isOk()) {
    plugin.finalize(context);
    return devices.status();
  }
  return Network{&plugin, candidate.file, plugin.name(), devices.take(), context};
}

base::Result<Network> chooseNetwork() {
  const std::string& wanted = base::processConfig().get(base::param::kNet);
  std::optional<Network> first;
  std::string whyNot;
  const auto remember = [&](std::string_view file, std::string_view why) {
    TUTTI_LOG_INFO(kInit, "net plugin {} is not used: {}", file, why);
    whyNot += fmt::format("{}{}", whyNot.empty() ? "" : "; ", why);
  };
  for (const Candidate& each : candidates()) {
    if (each.plugin == nullptr) {
      remember(each.file, each.why);
      continue;
    }
    const std::string nameBefore = each.plugin->name();
    auto started = start(each);
    if (!started.isOk()) {
      remember(each.file, started.status().text());
      continue;
    }
    const bool isNamed = isSameName(wanted, started->name) || isSameName(wanted, nameBefore);
    if (!first || isNamed) first = started.take();
    if (wanted.empty() || isNamed) break;
  }
  if (first) {
    TUTTI_LOG_INFO(kInit, "net plugin {}, v{} {}: {}", first->file, first->plugin->version(),
                   first->name, namesOf(first->devices));
    return *std::move(first);
  }
  return unusable(whyNot.empty() ? "TUTTI_NET_PLUGIN says none" : whyNot);
}

// Plugins may count on init and finalize coming from one thread at a time, as from NCCL.
std::mutex& initMutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

bool isAskedFor() {
  return !base::processConfig().get(base::param::kNetPlugin).empty() && !candidates().empty();
}

std::string lowerCase(std::string text) {
  for (char& each : text) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return text;
}

}  // namespace

std::vector<std::vector<std::string>> filesOf(std::string_view list) {
  if (list.empty()) return {{"libnccl-net.so", "librccl-net.so"}};
  if (isSameName(std::string(list), "none")) return {};
  std::vector<std::vector<std::string>> all;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string word(list.substr(begin, end - begin));
    begin = end + 1;
    if (word.empty()) continue;
    std::vector<std::string> files = {word};
    if (!isNameOfFile(word)) {
      files.push_back(fmt::format("libnccl-net-{}.so", word));
      files.push_back(fmt::format("librccl-net-{}.so", word));
    }
    all.push_back(std::move(files));
  }
  return all;
}

const base::Result<Network>& network() {
  // Sessions refer to what was found before a fork.
  static auto& kept = *new std::vector<std::unique_ptr<base::Result<Network>>>;
  static uint32_t generation = 0;
  const std::lock_guard lock(initMutex());
  if (kept.empty() || generation != base::forkGeneration()) {
    kept.push_back(std::make_unique<base::Result<Network>>(chooseNetwork()));
    generation = base::forkGeneration();
    if (isAskedFor() && !kept.back()->isOk()) {
      TUTTI_LOG_WARN("TUTTI_NET_PLUGIN={} (or NCCL_NET_PLUGIN) can not be used: {}",
                     base::processConfig().get(base::param::kNetPlugin),
                     kept.back()->status().text());
    }
  }
  return *kept.back();
}

const Found& found() {
  static const Found& kept = *new Found([] {
    Found made;
    made.isAskedFor = isAskedFor();
    for (const Candidate& each : candidates()) {
      if (each.plugin == nullptr) continue;
      const std::string name = each.plugin->name();
      if (!made.isThere) {
        made.isOfSockets = lowerCase(name).find("socket") != std::string::npos;
      }
      made.text += fmt::format("{}{}: v{} {}", made.isThere ? ", " : "", each.file,
                               each.plugin->version(), name);
      made.isThere = true;
    }
    if (!made.isThere) {
      made.text = made.isAskedFor ? fmt::format("no {}", candidates().front().file) : "none";
    }
    return made;
  }());
  return kept;
}

base::Result<std::unique_ptr<Session>> Session::open(const Network& network, uint64_t id) {
  void* context = nullptr;
  if (network.plugin->hasContexts()) {
    const std::lock_guard lock(initMutex());
    if (const auto result = network.plugin->init(id, context); result != abi::kSuccess) {
      return failure(*network.plugin, "init for a communicator", result);
    }
  }
  return std::unique_ptr<Session>(new Session(network, context));
}

Session::~Session() {
  if (!network_.plugin->hasContexts()) return;
  const std::lock_guard lock(initMutex());
  if (const auto result = network_.plugin->finalize(context_); result != abi::kSuccess) {
    TUTTI_LOG_INFO(kNet, "{}", failure(*network_.plugin, "finalize", result).text());
  }
}

}  // namespace tutti::transports::net_plugin
