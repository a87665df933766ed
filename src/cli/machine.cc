#include "src/cli/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "src/cli/text.h"

namespace tutti::cli {
namespace {

using nlohmann::json;

std::string line(std::string_view label, std::string_view value) {
  return fmt::format("  {:<12}{}\n", label, value);
}

std::string hostText(const Machine& machine) {
  std::string text = fmt::format("{}, {}", machine.cpu.empty() ? "unknown processor" : machine.cpu,
                                 countOf(machine.usableCores, "usable core"));
  if (machine.numaNodes > 1) text += fmt::format(" on {} NUMA nodes", machine.numaNodes);
  if (machine.memoryBytes > 0)
    text += fmt::format(", {} of memory", formatBytes(machine.memoryBytes));
  return text;
}

std::string deviceText(const Machine::Device& device) {
  if (!device.isUsable) {
    return fmt::format("{:<10} not usable: {}", device.name,
                       device.reason.empty() ? "no reason was given" : device.reason);
  }
  std::string text = fmt::format("{:<10} {}", device.name, device.model);
  if (device.memoryBytes > 0) text += fmt::format(", {}", formatBytes(device.memoryBytes));
  return text;
}

std::string linksText(const Machine::LinkProbe& probe) {
  if (probe.devices == 0) {
    return fmt::format("{:<10} none: {}", probe.name,
                       probe.reason.empty() ? "no reason was given" : probe.reason);
  }
  return fmt::format("{:<10} {}, {}", probe.name, countOf(probe.devices, "device"),
                     countOf(probe.links, "link end"));
}

std::string settingText(const Machine::Setting& setting, size_t nameWidth, bool withOrigin) {
  const std::string value = setting.value.empty() ? "-" : setting.value;
  const std::string tail = withOrigin ? fmt::format("from {}", setting.origin) : setting.help;
  return fmt::format("  {:<{}}  {:<19} {}\n", setting.name, nameWidth, value, tail);
}

// "tcp, then ofi (no RDMA device)"
std::string networksText(const Machine& machine) {
  std::string text;
  for (const auto& network : machine.networks) {
    text += fmt::format("{}{}", text.empty() ? "" : ", then ", network.name);
    if (!network.note.empty()) text += fmt::format(" ({})", network.note);
  }
  return text.empty() ? "none is allowed by the settings" : text;
}

}  // namespace

bool Machine::hasUsableDevice() const {
  return std::any_of(devices.begin(), devices.end(), [](const Device& d) { return d.isUsable; });
}

const Machine::Setting* Machine::find(std::string_view name) const {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& setting) { return setting.name == name; });
  return found == settings.end() ? nullptr : &*found;
}

Machine parseMachine(std::string_view text) {
  const json all = json::parse(text, nullptr, false);
  if (!all.is_object()) throw std::runtime_error("the library's description is no JSON object");
  Machine machine;
  machine.json = text;
  machine.version = all.value("version", "?");
  const json host = all.value("host", json::object());
  machine.hostName = host.value("name", "");
  machine.cpu = host.value("cpu", "");
  machine.usableCores = host.value("usable_cores", 1);
  machine.numaNodes = host.value("numa_nodes", 1);
  machine.l3Bytes = host.value("l3_bytes", uint64_t{0});
  machine.memoryBytes = host.value("memory_bytes", uint64_t{0});
  for (const auto& device : all.value("devices", json::array())) {
    machine.devices.push_back(
        {device.value("name", ""), device.value("model", ""), device.value("reason", ""),
         device.value("memory_bytes", uint64_t{0}), device.value("usable", false)});
  }
  for (const auto& probe : all.value("link_probes", json::array())) {
    machine.linkProbes.push_back({probe.value("name", ""), probe.value("reason", ""),
                                  probe.value("devices", 0), probe.value("links", int64_t{0})});
  }
  for (const auto& transport : all.value("transports", json::array())) {
    machine.transports.push_back({transport.value("name", ""), transport.value("description", "")});
  }
  for (const auto& network : all.value("networks", json::array())) {
    machine.networks.push_back({network.value("name", ""), network.value("note", "")});
  }
  for (const auto& setting : all.value("configuration", json::array())) {
    machine.settings.push_back({setting.value("name", ""), setting.value("value", ""),
                                setting.value("origin", ""), setting.value("help", "")});
  }
  return machine;
}

std::string renderMachine(const Machine& machine) {
  std::string text = line("host", machine.hostName) + line("processor", hostText(machine));
  const char* label = "devices";
  for (const auto& device : machine.devices) {
    text += line(label, deviceText(device));
    label = "";
  }
  label = "link probes";
  for (const auto& probe : machine.linkProbes) {
    text += line(label, linksText(probe));
    label = "";
  }
  label = "transports";
  for (const auto& transport : machine.transports) {
    text += line(label, fmt::format("{:<10} {}", transport.name, transport.description));
    label = "";
  }
  text += line("networks", networksText(machine));
  return text;
}

std::string renderSettings(const Machine& machine) {
  std::string set;
  std::string rest;
  size_t width = 0;
  for (const auto& setting : machine.settings) width = std::max(width, setting.name.size());
  for (const auto& setting : machine.settings) {
    const bool isDefault = setting.origin == "default";
    (isDefault ? rest : set) += settingText(setting, width, !isDefault);
  }
  const char* none = "  nothing; every setting below has its default\n";
  return fmt::format("Set\n{}\nAt its default (set it in the environment or in ~/.tutti.conf)\n{}",
                     set.empty() ? none : set, rest);
}

}  // namespace tutti::cli
