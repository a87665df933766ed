// What a fake driver answers from: a text file, by lines.
//
//   device ADDRESS MODEL          compute capability 70, target version 90010; 0: not told
//   link A B COUNT MB/s           between two devices, listed by both; what one's wires carry
//   switch A ADDRESS COUNT MB/s   from a device to a switch; "-": its driver does not know where
//   host A COUNT MB/s             from a device to its processor
//   down A COUNT                  links of a device that are not up
//   init CODE                     what the library's init returns
//   fails A CODE AFTER            questions about that device fail, but for the first AFTER of them
//
// # starts a comment.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace tutti::fakes {

// The variable that names the file.
inline constexpr const char* kRecordingVariable = "FAKE_DRIVER_RECORDING";

enum class End { kDevice, kSwitch, kHost, kDown };

struct Link {
  End end = End::kDevice;
  std::string to;
  int64_t megabytes = 0;
};

struct Device {
  std::string address;
  uint32_t place[4] = {};  // domain, bus, device, function
  int model = 0;
  std::vector<Link> links;  // each by itself
  uint32_t failure = 0;
  std::atomic<int> beforeFailure{0};

  // 0, or what a question about this device must be answered with.
  uint32_t fail() { return failure != 0 && beforeFailure-- <= 0 ? failure : 0; }
};

struct Recording {
  std::deque<Device> devices;
  uint32_t init = 0;

  Device* find(const std::string& address) {
    for (Device& device : devices) {
      if (device.address == address) return &device;
    }
    return nullptr;
  }

  void addLinks(const std::string& from, End end, const std::string& to, int count, int64_t rate) {
    Device* device = find(from);
    for (int i = 0; device != nullptr && i < count; ++i) device->links.push_back({end, to, rate});
  }

  void readLine(const std::string& line) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string kind, a, b;
    int count = 0;
    int64_t rate = 0;
    words >> kind;
    if (kind == "init") {
      words >> init;
    } else if (kind == "device") {
      Device& device = devices.emplace_back();
      words >> device.address >> device.model;
      std::sscanf(device.address.c_str(), "%x:%x:%x.%x", &device.place[0], &device.place[1],
                  &device.place[2], &device.place[3]);
    } else if (kind == "link") {
      words >> a >> b >> count >> rate;
      addLinks(a, End::kDevice, b, count, rate);
      addLinks(b, End::kDevice, a, count, rate);
    } else if (kind == "switch") {
      words >> a >> b >> count >> rate;
      addLinks(a, End::kSwitch, b, count, rate);
    } else if (kind == "host") {
      words >> a >> count >> rate;
      addLinks(a, End::kHost, "-", count, rate);
    } else if (kind == "down") {
      words >> a >> count;
      addLinks(a, End::kDown, "-", count, 0);
    } else if (Device* device = nullptr; kind == "fails") {
      words >> a >> rate >> count;
      device = find(a);
      if (device == nullptr) return;
      device->failure = static_cast<uint32_t>(rate);
      device->beforeFailure = count;
    }
  }

  void read(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) readLine(line);
  }

  // The file that the environment names.
  void read() {
    devices.clear();
    init = 0;
    const char* path = std::getenv(kRecordingVariable);
    if (path != nullptr) read(path);
  }
};

}  // namespace tutti::fakes
