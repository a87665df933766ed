#include "src/comm/red_ops.h"

#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cstring>

#include "src/base/errors.h"
#include "src/base/numeric.h"

namespace tutti::comm {
namespace {

using base::Code;
using base::Status;

constexpr int32_t kIndexBits = 12;  // 4096 live operators per communicator
constexpr int32_t kFirstHandle = 1 << kIndexBits;

std::atomic<int32_t> nextSalt{1};

}  // namespace

RedOps::RedOps() : salt_((nextSalt.fetch_add(1, std::memory_order_relaxed) % 0x3ffff) + 1) {}

base::Result<int32_t> RedOps::create(const void* scalar, ir::DataType type, bool isLate) {
  Entry entry{true, type, {}, isLate ? scalar : nullptr};
  if (!isLate) std::memcpy(&entry.factor.bits, scalar, ir::sizeOf(type));
  entry.factor.isSet = true;
  const std::lock_guard lock(mutex_);
  size_t index = 0;
  while (index < entries_.size() && entries_[index].isLive) ++index;
  if (index >= static_cast<size_t>(kFirstHandle)) {
    return Status(Code::kInvalidUsage, base::kErrInvalidArgument,
                  "too many reduction operators are alive on this communicator; destroy some");
  }
  if (index == entries_.size()) entries_.emplace_back();
  entries_[index] = entry;
  return (salt_ << kIndexBits) | static_cast<int32_t>(index);
}

base::Result<size_t> RedOps::indexOf(int32_t handle) const {
  const auto index = static_cast<size_t>(handle & (kFirstHandle - 1));
  const bool isOurs = handle >= kFirstHandle && (handle >> kIndexBits) == salt_ &&
                      index < entries_.size() && entries_[index].isLive;
  if (isOurs) return index;
  return Status(Code::kInvalidArgument, base::kErrInvalidArgument,
                fmt::format("{} is no reduction operator of this communicator: it is neither built "
                            "in, nor made by tuttiRedOpCreatePreMulSum here, or was destroyed",
                            handle));
}

Status RedOps::destroy(int32_t handle) {
  const std::lock_guard lock(mutex_);
  TUTTI_ASSIGN_OR_RETURN(const size_t index, indexOf(handle));
  entries_[index].isLive = false;
  return {};
}

base::Result<ResolvedOp> RedOps::resolve(int32_t handle, ir::DataType type, int size) const {
  if (handle >= 0 && handle < static_cast<int32_t>(ir::RedOp::kAvg)) {
    return ResolvedOp{static_cast<ir::RedOp>(handle), {}, nullptr};
  }
  if (handle == static_cast<int32_t>(ir::RedOp::kAvg)) {
    return ResolvedOp{ir::RedOp::kAvg,
                      ir::isFloat(type) ? averageFactor(type, size) : device::Factor{}, nullptr};
  }
  const std::lock_guard lock(mutex_);
  TUTTI_ASSIGN_OR_RETURN(const size_t index, indexOf(handle));
  if (entries_[index].type != type) {
    return Status(Code::kInvalidArgument, base::kErrInvalidArgument,
                  fmt::format("the reduction operator was made for {}, not for {}",
                              ir::name(entries_[index].type), ir::name(type)));
  }
  return ResolvedOp{ir::RedOp::kPreMulSum, entries_[index].factor, entries_[index].scalar};
}

device::Factor averageFactor(ir::DataType type, int size) {
  const float value = 1.0F / static_cast<float>(size);
  device::Factor factor{0, true};
  switch (type) {
    case ir::DataType::kFloat64:
      factor.bits = std::bit_cast<uint64_t>(1.0 / static_cast<double>(size));
      break;
    case ir::DataType::kFloat32: factor.bits = std::bit_cast<uint32_t>(value); break;
    case ir::DataType::kFloat16: factor.bits = base::float32ToFloat16(value); break;
    case ir::DataType::kBfloat16: factor.bits = base::float32ToBfloat16(value); break;
    case ir::DataType::kFloat8e4m3: factor.bits = base::float32ToFloat8e4m3(value); break;
    case ir::DataType::kFloat8e5m2: factor.bits = base::float32ToFloat8e5m2(value); break;
    default: factor = {}; break;
  }
  return factor;
}

}  // namespace tutti::comm
