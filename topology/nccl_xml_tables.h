// What the schema of NCCL and RCCL leaves to tables: classes of PCI functions and rates of links.
// For nccl_xml_*.cc, and for what describes the same machines without a file: device_links.cc and
// the link probes in src/device.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "topology/graph.h"

namespace tutti::topology::nccl {

inline constexpr std::string_view kSwitchClass = "0x068000";
inline constexpr std::string_view kSwitchPlaceholder = "fffffff:ff:ff.0";
inline constexpr std::string_view kSwitchId = "nvswitch";
inline constexpr int64_t kLocalRate = 5'000 * kGigabyte;  // a device and a piece of it

inline constexpr std::string_view kNvidia = "0x10de";
inline constexpr std::string_view kAmd = "0x1002";

// "gfx942" of "gfx942", "942"; RCCL writes 910 for gfx90a.
inline std::string modelOfGcn(std::string_view gcn) {
  if (gcn.starts_with("gfx")) gcn.remove_prefix(3);
  return "gfx" + std::string(gcn == "910" ? "90a" : gcn);
}

inline std::string modelOfSm(int64_t sm) { return "sm" + std::to_string(sm); }

// Of an <nvlink>, in kB/s.
inline int64_t nvlinkRate(int64_t sm) {
  if (sm >= 100) return 40'100'000;
  if (sm >= 90) return 20'600'000;
  if (sm == 86) return 12'000'000;
  if (sm >= 70) return 20'000'000;
  return sm >= 60 ? 18'000'000 : 20'000'000;
}

// Of one unit of width of an <xgmi>, in kB/s.
inline int64_t xgmiRate(std::string_view model) {
  if (model.starts_with("gfx94") || model.starts_with("gfx95")) return 48'000'000;
  return model == "gfx90a" ? 36'000'000 : 24'000'000;
}

// Of one link of a device of that model; nothing where the model does not tell.
inline std::optional<int64_t> deviceRate(std::string_view model) {
  if (model.starts_with("gfx")) return xgmiRate(model);
  if (!model.starts_with("sm")) return std::nullopt;
  int64_t sm = 0;
  const char* end = model.data() + model.size();
  const auto [rest, error] = std::from_chars(model.data() + 2, end, sm);
  if (error != std::errc() || rest != end) return std::nullopt;
  return nvlinkRate(sm);
}

}  // namespace tutti::topology::nccl
