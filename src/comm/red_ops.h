// The pre-multiplied sums a user made on one communicator, and the factors of built-in averages.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "src/base/status.h"
#include "src/device/reduce.h"
#include "src/ir/types.h"

namespace tutti::comm {

// What a tuttiRedOp_t value means on a communicator.
struct ResolvedOp {
  ir::RedOp op = ir::RedOp::kSum;
  device::Factor factor;
  const void* scalar = nullptr;  // where the factor's bits are to be read when the operation begins
};

class RedOps {
 public:
  RedOps();

  // `scalar` is one element of `type`, read now or, if it `isLate`, when each operation begins. The
  // handle carries bits that differ between communicators, so that one used on another is noticed.
  base::Result<int32_t> create(const void* scalar, ir::DataType type, bool isLate = false);
  base::Status destroy(int32_t handle);

  // Built-in operators and handles of create().
  base::Result<ResolvedOp> resolve(int32_t handle, ir::DataType type, int size) const;

 private:
  struct Entry {
    bool isLive = false;
    ir::DataType type = ir::DataType::kFloat32;
    device::Factor factor;
    const void* scalar = nullptr;
  };
  base::Result<size_t> indexOf(int32_t handle) const;

  int32_t salt_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

// 1 / size, converted to a float type.
device::Factor averageFactor(ir::DataType type, int size);

}  // namespace tutti::comm
