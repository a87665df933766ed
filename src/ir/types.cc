#include "src/ir/types.h"

#include <array>

namespace tutti::ir {
namespace {

template <typename Names, typename Enum>
std::string_view lookUp(const Names& names, Enum value) {
  const auto index = static_cast<size_t>(value);
  return index < names.size() ? names[index] : std::string_view("?");
}

}  // namespace

std::string_view name(DataType type) {
  static constexpr std::array<std::string_view, kDataTypeCount> kNames = {
      "int8", "uint8", "int32",  "uint32",   "int64",  "uint64",
      "half", "float", "double", "bfloat16", "f8e4m3", "f8e5m2"};
  return lookUp(kNames, type);
}

std::string_view name(RedOp op) {
  static constexpr std::array<std::string_view, kRedOpCount> kNames = {"sum", "prod", "max",
                                                                       "min", "avg",  "premulsum"};
  return lookUp(kNames, op);
}

std::string_view name(Collective collective) {
  static constexpr std::array<std::string_view, kCollectiveCount> kNames = {
      "all_reduce",   "reduce",   "broadcast", "all_gather",   "reduce_scatter",
      "all_to_all",   "gather",   "scatter",   "all_gather_v", "reduce_scatter_v",
      "all_to_all_v", "gather_v", "scatter_v", "send",         "recv"};
  return lookUp(kNames, collective);
}

}  // namespace tutti::ir
