// What tuttiDescribe said, and how people read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::cli {

struct Machine {
  struct Device {
    std::string name;
    std::string model;
    std::string reason;  // why it is not usable
    uint64_t memoryBytes = 0;
    bool isUsable = false;
  };
  // What a vendor's driver told of links between its devices.
  struct LinkProbe {
    std::string name;
    std::string reason;  // why it had nothing to tell
    int devices = 0;
    int64_t links = 0;  // as the devices list them: one between two devices counts twice
  };
  struct Transport {
    std::string name;
    std::string description;
  };
  // Between hosts, the most preferred first.
  struct Network {
    std::string name;
    std::string note;  // why it is preferred, or not
  };
  struct Setting {
    std::string name;
    std::string value;
    std::string origin;  // "default", "environment TUTTI_ALGO", "/etc/tutti.conf:3"
    std::string help;
  };

  std::string version;
  std::string hostName;
  std::string cpu;
  int usableCores = 0;
  int numaNodes = 0;
  uint64_t l3Bytes = 0;
  uint64_t memoryBytes = 0;
  std::vector<Device> devices;
  std::vector<LinkProbe> linkProbes;
  std::vector<Transport> transports;
  std::vector<Network> networks;
  std::vector<Setting> settings;
  std::string json;  // all of it, as it came

  bool hasUsableDevice() const;
  // The setting's row; null if the library has none of that name.
  const Setting* find(std::string_view name) const;
};

// Members that the text lacks keep their defaults. Throws std::runtime_error for no JSON.
Machine parseMachine(std::string_view json);

// Host, devices, links and transports: lines of a label and a value, indented by two.
std::string renderMachine(const Machine& machine);

// Settings that were set, then those at their defaults.
std::string renderSettings(const Machine& machine);

}  // namespace tutti::cli
