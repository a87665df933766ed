// Which plugin serves this process: where it is looked for, and whether it works here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"
#include "transports/net_plugin/plugin.h"

namespace tutti::transports::net_plugin {

// What TUTTI_NET_PLUGIN asks for, a list: for each of its words the files to try, in this order. A
// word is a path, a file's name, or X of libnccl-net-X.so. Empty: the usual name. None where it
// says `none`. Pure.
std::vector<std::vector<std::string>> filesOf(std::string_view list);

// A plugin that works here.
struct Network {
  Plugin* plugin = nullptr;
  std::string file;
  std::string name;             // once it was initialised
  std::vector<Device> devices;  // those that can be used
  void* context = nullptr;      // of the first init; stays, so that the rest remains true
};

// The plugin of this process: the first of those asked for that works, rather that whose name
// TUTTI_NET says. Loaded and initialised once, again in a forked child, and never unloaded; the
// failure says of each why not, and is a warning in the log where somebody asked. Any thread.
const base::Result<Network>& network();

// What is known without initialising anything, which takes some plugins long. Any thread.
struct Found {
  std::string text;          // "libnccl-net.so: v10 AWS Libfabric", "no libmine.so", "none"
  bool isThere = false;      // some plugin was loaded
  bool isAskedFor = false;   // by TUTTI_NET_PLUGIN; need not be there
  bool isOfSockets = false;  // by its name: not what TCP connections of our own would gain from
};
const Found& found();

// A communicator's own context of a plugin, where its version has any; from init to finalize. The
// network must outlive it.
class Session {
 public:
  static base::Result<std::unique_ptr<Session>> open(const Network& network, uint64_t id);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Plugin& plugin() const { return *network_.plugin; }
  const Network& network() const { return network_; }
  void* context() const { return context_; }

 private:
  Session(const Network& network, void* context) : network_(network), context_(context) {}
  const Network& network_;
  void* context_;
};

}  // namespace tutti::transports::net_plugin
