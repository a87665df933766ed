// The networks that tests run over: every network transport of this build, and of plugins one for
// each version of their interface. For programs that link the table of transports.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace tutti::test {

struct Network {
  std::string name;  // for test names
  std::string transport;
  std::vector<std::pair<std::string, std::string>> environment;  // what it needs besides
};

void PrintTo(const Network& network, std::ostream* out);

// What loads the plugin of tests/fakes of that version, with FAKE_NET=`words`.
Network pluginNetwork(int version, const std::string& words = "");

// Of plugins those of the given versions; where none are given, of the two that differ most.
std::vector<Network> networks(const std::vector<int>& versions = {8, 11});

}  // namespace tutti::test
