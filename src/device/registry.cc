#include "src/device/registry.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "src/base/errors.h"

namespace tutti::device {

namespace {

using base::Code;
using base::Status;

struct DeviceName {
  std::string_view backend;
  int index = 0;
};

// "opencl:1" -> opencl, 1; "host" -> host, 0. Nothing if it is neither.
std::optional<DeviceName> parseName(std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == std::string_view::npos) return DeviceName{name, 0};
  const std::string_view digits = name.substr(colon + 1);
  DeviceName parsed{name.substr(0, colon), 0};
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, parsed.index);
  if (error != std::errc{} || stop != end || parsed.index < 0) return std::nullopt;
  return parsed;
}

// "Devices here: host (a model, 8 cores). Not usable: opencl (no library)."
std::string listDevices(std::span<const Backend* const> backends) {
  std::string usable;
  std::string unusable;
  for (const Backend* backend : backends) {
    std::string reason;
    const auto devices = backend->probe(reason);
    for (const Description& device : devices) {
      fmt::format_to(std::back_inserter(usable), "{}{} ({})", usable.empty() ? "" : ", ",
                     device.name, device.model);
    }
    if (devices.empty()) {
      fmt::format_to(std::back_inserter(unusable), "{}{} ({})", unusable.empty() ? "" : ", ",
                     backend->name(), reason.empty() ? "no reason given" : reason);
    }
  }
  std::string text = "Devices here: " + (usable.empty() ? "none" : usable) + ".";
  if (!unusable.empty()) text += " Not usable: " + unusable + ".";
  return text;
}

Status unknownDevice(std::string_view name, std::string_view why,
                     std::span<const Backend* const> backends) {
  return {Code::kInvalidArgument, base::kErrUnknownDevice,
          fmt::format("no device \"{}\": {}. {}", name, why, listDevices(backends))};
}

// Why `backend` did not open device `index`, after it failed with `failure`.
Status explain(std::string_view name, const Backend& backend, int index, const Status& failure,
               std::span<const Backend* const> backends) {
  std::string reason;
  const auto devices = backend.probe(reason);
  if (devices.empty()) {
    return {Code::kDeviceError, base::kErrNoDevice,
            fmt::format("device \"{}\" cannot be used: {}. {}", name,
                        reason.empty() ? failure.text() : std::string_view(reason),
                        listDevices(backends))};
  }
  if (index >= static_cast<int>(devices.size())) {
    return unknownDevice(name,
                         fmt::format("{} has {} device{}, counted from 0", backend.name(),
                                     devices.size(), devices.size() == 1 ? "" : "s"),
                         backends);
  }
  return failure.withContext(fmt::format("opening device \"{}\"", name));
}

}  // namespace

base::Result<std::shared_ptr<Device>> openDevice(std::string_view name,
                                                 std::span<const Backend* const> backends) {
  const std::optional<DeviceName> parsed = parseName(name);
  if (!parsed) {
    return unknownDevice(name, "what follows the colon is no device number", backends);
  }
  for (const Backend* backend : backends) {
    if (backend->name() != parsed->backend) continue;
    auto opened = backend->open(parsed->index);
    if (opened.isOk()) return opened;
    return explain(name, *backend, parsed->index, opened.status(), backends);
  }
  return unknownDevice(name, "this build has no backend of that name", backends);
}

}  // namespace tutti::device
