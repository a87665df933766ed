#include "tests/multi/networks.h"

#include "transports/registry.h"

namespace tutti::test {

void PrintTo(const Network& network, std::ostream* out) { *out << network.name; }

Network pluginNetwork(int version, const std::string& words) {
  const std::string file =
      std::string(TUTTI_FAKE_NETS) + "/libnccl-net-fake" + std::to_string(version) + ".so";
  return {"net_plugin_v" + std::to_string(version),
          "net_plugin",
          {{"TUTTI_NET_PLUGIN", file}, {"FAKE_NET", words}}};
}

std::vector<Network> networks(const std::vector<int>& versions) {
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
