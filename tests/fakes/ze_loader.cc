// Stands for libze_loader.so.1. FAKE_OLD has no zesInit, FAKE_BROKEN lacks what every version has.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "src/device/levelzero/links_driver.h"
#include "tests/fakes/recording.h"

namespace {

using namespace tutti::device::levelzero;
using tutti::fakes::Device;
using tutti::fakes::End;
using tutti::fakes::Link;

struct State {
  std::mutex mutex;
  tutti::fakes::Recording recording;
  int opened = 0;  // stays: this interface has no shutdown
};

State& state() {
  static State state;
  return state;
}

Device& deviceOf(ZesDevice handle) { return *reinterpret_cast<Device*>(handle); }

// Fills a list of this interface, or says how long it is.
template <typename Handle, typename Make>
ZeResult fill(size_t length, uint32_t* count, Handle* handles, Make make) {
  if (handles != nullptr) {
    for (size_t i = 0; i < std::min<size_t>(*count, length); ++i) handles[i] = make(i);
  }
  *count = static_cast<uint32_t>(length);
  return kZeSuccess;
}

// A port is a link of a device; odd ones are on its second piece.
struct Place {
  size_t device = 0;
  size_t link = 0;
};

Place placeOf(ZesPort port) {
  const auto number = reinterpret_cast<uintptr_t>(port) - 1;
  return {number / 1'000, number % 1'000};
}

ZesPortId idOf(Place place) {
  return {static_cast<uint32_t>(0x1000 + place.device), static_cast<uint32_t>(place.link % 2),
          static_cast<uint8_t>(place.link + 1)};
}

// The k-th link from a to b meets the k-th from b to a.
ZesPortId remoteOf(Place place) {
  auto& devices = state().recording.devices;
  const Device& near = devices[place.device];
  const std::string& to = near.links[place.link].to;
  auto nth = std::count_if(near.links.begin(), near.links.begin() + static_cast<long>(place.link),
                           [&](const Link& link) { return link.to == to; });
  for (size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].address != to) continue;
    for (size_t k = 0; k < devices[i].links.size(); ++k) {
      if (devices[i].links[k].to == near.address && nth-- == 0) return idOf({i, k});
    }
  }
  return {};
}

ZeResult init() {
  const std::lock_guard lock(state().mutex);
  if (state().opened++ == 0 || state().recording.devices.empty()) state().recording.read();
  return static_cast<ZeResult>(state().recording.init);
}

ZeResult getDrivers(uint32_t* count, ZesDriver* drivers) {
  return fill(1, count, drivers, [](size_t) { return reinterpret_cast<ZesDriver>(&state()); });
}

ZeResult getDevices(uint32_t* count, ZesDevice* devices) {
  return fill(state().recording.devices.size(), count, devices,
              [](size_t i) { return reinterpret_cast<ZesDevice>(&state().recording.devices[i]); });
}

}  // namespace

extern "C" {

// Forgets the recording, for a test that takes another one; not of the real library.
void fakeReset() { state().recording.devices.clear(); }

#ifdef FAKE_OLD
ZeResult zeInit(uint32_t) { return init(); }
ZeResult zeDriverGet(uint32_t* count, ZesDriver* drivers) { return getDrivers(count, drivers); }
ZeResult zeDeviceGet(ZesDriver, uint32_t* count, ZesDevice* devices) {
  return getDevices(count, devices);
}
#else
ZeResult zesInit(uint32_t) { return init(); }
ZeResult zesDriverGet(uint32_t* count, ZesDriver* drivers) { return getDrivers(count, drivers); }
ZeResult zesDeviceGet(ZesDriver, uint32_t* count, ZesDevice* devices) {
  return getDevices(count, devices);
}
#endif

ZeResult zesDevicePciGetProperties(ZesDevice device, ZesPciProperties* properties) {
  if (properties->type != kZesPciProperties) return kZeUninitialized;
  std::memcpy(&properties->domain, deviceOf(device).place, sizeof deviceOf(device).place);
  return static_cast<ZeResult>(deviceOf(device).fail());
}

ZeResult zesDeviceEnumFabricPorts(ZesDevice device, uint32_t* count, ZesPort* ports) {
  const Device& found = deviceOf(device);
  if (found.links.empty()) return kZeUnsupportedFeature;
  auto& devices = state().recording.devices;
  size_t index = 0;
  while (&devices[index] != &found) ++index;
  return fill(found.links.size(), count, ports,
              [&](size_t i) { return reinterpret_cast<ZesPort>(index * 1'000 + i + 1); });
}

ZeResult zesFabricPortGetProperties(ZesPort port, ZesPortProperties* properties) {
  if (properties->type != kZesFabricPortProperties) return kZeUninitialized;
  const Place place = placeOf(port);
  properties->id = idOf(place);
  properties->maxReceive = {-1, -1};
  properties->maxSend = {-1, -1};
  return static_cast<ZeResult>(state().recording.devices[place.device].fail());
}

#ifndef FAKE_BROKEN
// A rate is that of four lanes; 0: not known.
ZeResult zesFabricPortGetState(ZesPort port, ZesPortState* portState) {
  if (portState->type != kZesFabricPortState) return kZeUninitialized;
  const Place place = placeOf(port);
  const Link& link = state().recording.devices[place.device].links[place.link];
  portState->status = link.end == End::kDown ? kZesPortDisabled : kZesPortHealthy;
  portState->remote = remoteOf(place);
  const int64_t bits = link.megabytes > 0 ? link.megabytes * 8'000'000 / 4 : -1;
  portState->receive = {bits, bits > 0 ? 4 : -1};
  portState->send = portState->receive;
  return static_cast<ZeResult>(state().recording.devices[place.device].fail());
}
#endif

}  // extern "C"
