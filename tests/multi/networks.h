// The networks that tests run over: every network transport of this build, and of plugins one for
// each version of their interface. For programs that link the table of transports.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/multi/ranks.h"
#include "transports/registry.h"

namespace tutti::test {

struct Network {
  std::string name;  // for test names
  std::string transport;
  std::vector<std::pair<std::string, std::string>> environment;  // what it needs besides
};

inline void PrintTo(const Network& network, std::ostream* out) { *out << network.name; }

// What loads the plugin of tests/fakes of that version, with FAKE_NET=`words`.
inline Network pluginNetwork(int version, const std::string& words = "") {
  const std::string file =
      std::string(TUTTI_FAKE_NETS) + "/libnccl-net-fake" + std::to_string(version) + ".so";
  return {"net_plugin_v" + std::to_string(version),
          "net_plugin",
          {{"TUTTI_NET_PLUGIN", file}, {"FAKE_NET", words}}};
}

// Plugins of the given versions; where none are given, of those that differ most.
inline std::vector<Network> networks(const std::vector<int>& versions = {8, 11}) {
  std::vector<Network> all;
  for (const auto* backend : transports::builtinBackends()) {
    const std::string name(backend->name());
    if (!backend->isNetwork()) continue;
    if (name != "net_plugin") {
      all.push_back({name, name, {}});
      continue;
    }
    for (const int version : versions) all.push_back(pluginNetwork(version));
  }
  return all;
}

}  // namespace tutti::test
