// Stands for libnvidia-ml.so.1. FAKE_OLD lacks what came later, FAKE_BROKEN what every version has.
#include <algorithm>
#include <cstdio>
#include <mutex>

#include "src/device/cuda/links_driver.h"
#include "tests/fakes/recording.h"

namespace {

using namespace tutti::device::cuda;
using tutti::fakes::Device;
using tutti::fakes::End;
using tutti::fakes::Link;

struct State {
  std::mutex mutex;
  tutti::fakes::Recording recording;
  int opened = 0;
};

State& state() {
  static State state;
  return state;
}

Device& deviceOf(NvmlDevice handle) { return *reinterpret_cast<Device*>(handle); }

// The link, or null with what to answer.
const Link* linkOf(NvmlDevice handle, unsigned int index, int& error) {
  Device& device = deviceOf(handle);
  error = static_cast<int>(device.fail());
  if (error == 0 && index >= device.links.size()) error = kNvmlInvalidArgument;
  return error == 0 ? &device.links[index] : nullptr;
}

void setAddress(const std::string& address, NvmlPciInfo& info) {
  unsigned int function = 0;
  std::sscanf(address.c_str(), "%x:%x:%x.%x", &info.domain, &info.bus, &info.device, &function);
  std::snprintf(info.id, sizeof info.id, "%08X:%02X:%02X.0", info.domain, info.bus, info.device);
}

}  // namespace

extern "C" {

// How often it is open now; not of the real library.
int fakeOpened() { return state().opened; }

int nvmlInit_v2() {
  const std::lock_guard lock(state().mutex);
  if (state().opened == 0) state().recording.read();
  if (state().recording.init == 0) ++state().opened;
  return static_cast<int>(state().recording.init);
}

int nvmlShutdown() {
  const std::lock_guard lock(state().mutex);
  --state().opened;
  return kNvmlSuccess;
}

const char* nvmlErrorString(int error) {
  return error == kNvmlDriverNotLoaded ? "Driver Not Loaded" : "GPU is lost";
}

int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = static_cast<unsigned int>(state().recording.devices.size());
  return kNvmlSuccess;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, NvmlDevice* device) {
  if (index >= state().recording.devices.size()) return kNvmlInvalidArgument;
  Device& found = state().recording.devices[index];
  *device = reinterpret_cast<NvmlDevice>(&found);
  return static_cast<int>(found.fail());
}

int nvmlDeviceGetPciInfo_v3(NvmlDevice device, NvmlPciInfo* info) {
  setAddress(deviceOf(device).address, *info);
  return static_cast<int>(deviceOf(device).fail());
}

int nvmlDeviceGetCudaComputeCapability(NvmlDevice device, int* major, int* minor) {
  const int model = deviceOf(device).model;
  if (model == 0) return kNvmlNotSupported;
  *major = model / 10;
  *minor = model % 10;
  return kNvmlSuccess;
}

#ifndef FAKE_BROKEN
int nvmlDeviceGetNvLinkState(NvmlDevice device, unsigned int index, int* isActive) {
  if (deviceOf(device).links.empty()) return kNvmlNotSupported;
  int error = 0;
  const Link* link = linkOf(device, index, error);
  if (link != nullptr) *isActive = link->end != End::kDown ? 1 : 0;
  return error;
}
#endif

int nvmlDeviceGetNvLinkRemotePciInfo_v2(NvmlDevice device, unsigned int index, NvmlPciInfo* info) {
  int error = 0;
  const Link* link = linkOf(device, index, error);
  if (link == nullptr) return error;
  if (link->to == "-") return kNvmlNotSupported;
  setAddress(link->to, *info);
  return kNvmlSuccess;
}

#ifndef FAKE_OLD
int nvmlDeviceGetNvLinkRemoteDeviceType(NvmlDevice device, unsigned int index, int* type) {
  int error = 0;
  const Link* link = linkOf(device, index, error);
  if (link == nullptr) return error;
  *type = link->end == End::kDevice ? kNvmlRemoteGpu
          : link->end == End::kHost ? kNvmlRemoteNpu
                                    : kNvmlRemoteSwitch;
  return kNvmlSuccess;
}

// Knows the field of a single link only, as drivers since Hopper.
int nvmlDeviceGetFieldValues(NvmlDevice device, int count, NvmlFieldValue* values) {
  for (int i = 0; i < count; ++i) {
    NvmlFieldValue& value = values[i];
    int error = 0;
    const Link* link = linkOf(device, value.scope, error);
    value.status = value.field == kNvmlFieldSpeedOfLink ? error : kNvmlNotSupported;
    if (link == nullptr || value.status != kNvmlSuccess) continue;
    value.type = kNvmlTypeUnsignedInt;
    value.value.number = static_cast<unsigned int>(link->megabytes);
  }
  return kNvmlSuccess;
}
#endif

}  // extern "C"
