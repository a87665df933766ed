// What joins the devices of this machine beside PCI, as their drivers tell. Values; src/device
// finds them, topology makes them part of the fabric.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tutti::ir {

// What a link of a device leads to.
enum class LinkEnd : uint8_t {
  kDevice,  // the device at `to`
  kSwitch,  // a switch that joins devices; `to` may be empty
  kHost,    // the processor that the device hangs on; `to` is empty
};

// `count` links alike, as the device at `from` lists them. A link between two devices is listed by
// both of them.
struct DeviceLink {
  std::string from;  // PCI address: "0000:c1:00.0", lower case
  std::string to;    // likewise
  LinkEnd end = LinkEnd::kDevice;
  int32_t count = 1;
  int64_t rate = 0;        // kB/s of one, each way: what programs get, not what wires carry
  bool isAssumed = false;  // neither the driver nor the device's model tells the rate
  bool operator==(const DeviceLink&) const = default;
};

// Which make a device is, in the words of topology files: "sm90", "gfx942"; empty: not known.
struct DeviceModel {
  std::string address;
  std::string model;
  bool operator==(const DeviceModel&) const = default;
};

struct DeviceLinks {
  std::vector<DeviceModel> devices;  // all that the driver shows, with links or without
  std::vector<DeviceLink> links;
  std::vector<std::string> notes;  // what could not be told, a line each
  bool operator==(const DeviceLinks&) const = default;
};

// "0000:c1:00.0"
std::string pciAddress(uint32_t domain, uint32_t bus, uint32_t device, uint32_t function);

// Adds `count` more to the link of `links` that leads from and to the same (the lower rate counts
// for all), or appends one.
void addLink(std::vector<DeviceLink>& links, const DeviceLink& link);

// The number of links, counting those alike; a link between two devices counts at both.
int64_t countLinks(const std::vector<DeviceLink>& links);

}  // namespace tutti::ir
