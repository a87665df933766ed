// Stands for librocm_smi64.so. FAKE_OLD lacks what came later, FAKE_BROKEN what every version has.
#include <algorithm>
#include <mutex>

#include "src/device/hip/links_driver.h"
#include "tests/fakes/recording.h"

namespace {

using namespace tutti::device::hip;
using tutti::fakes::Device;
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

SmiStatus fail(uint32_t index) {
  auto& devices = state().recording.devices;
  return index < devices.size() ? static_cast<SmiStatus>(devices[index].fail()) : kSmiInitError;
}

std::pair<uint64_t, uint64_t> ratesOf(uint32_t from, uint32_t to) {
  auto& devices = state().recording.devices;
  std::pair<uint64_t, uint64_t> rates;
  for (const Link& link : devices[from].links) {
    if (link.to != devices[to].address) continue;
    rates.first = static_cast<uint64_t>(link.megabytes);
    rates.second += rates.first;
  }
  return rates;
}

}  // namespace

extern "C" {

// How often it is open now; not of the real library.
int fakeOpened() { return state().opened; }

SmiStatus rsmi_init(uint64_t) {
  const std::lock_guard lock(state().mutex);
  if (state().opened == 0) state().recording.read();
  if (state().recording.init == 0) ++state().opened;
  return static_cast<SmiStatus>(state().recording.init);
}

SmiStatus rsmi_shut_down() {
  const std::lock_guard lock(state().mutex);
  --state().opened;
  return kSmiSuccess;
}

SmiStatus rsmi_status_string(SmiStatus, const char** text) {
  *text = "what went wrong";
  return kSmiSuccess;
}

SmiStatus rsmi_num_monitor_devices(uint32_t* count) {
  *count = static_cast<uint32_t>(state().recording.devices.size());
  return kSmiSuccess;
}

SmiStatus rsmi_dev_pci_id_get(uint32_t index, uint64_t* id) {
  const uint32_t* place = state().recording.devices[index].place;
  *id = uint64_t{place[0]} << 32 | place[1] << 8 | place[2] << 3 | place[3];
  return fail(index);
}

// All devices are one hive: a way by xGMI leads from each to each.
SmiStatus rsmi_topo_get_link_type(uint32_t from, uint32_t to, uint64_t* hops, SmiLinkType* type) {
  *hops = 1;
  *type = state().recording.devices[from].links.empty() ? kSmiLinkPci : kSmiLinkXgmi;
  return std::max(fail(from), fail(to));
}

#ifndef FAKE_BROKEN
SmiStatus rsmi_topo_get_link_weight(uint32_t from, uint32_t to, uint64_t* weight) {
  *weight = ratesOf(from, to).second > 0 ? 15 : 30;
  return fail(from);
}
#endif

#ifndef FAKE_OLD
SmiStatus rsmi_minmax_bandwidth_get(uint32_t from, uint32_t to, uint64_t* least, uint64_t* most) {
  const auto rates = ratesOf(from, to);
  *least = rates.first;
  *most = rates.second;
  return fail(from);
}
#endif

}  // extern "C"
