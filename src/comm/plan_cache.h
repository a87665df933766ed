// Programs that were made, by call. The last one is found without hashing, so that a loop over one
// collective pays a compare.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "src/executor/operation.h"
#include "src/ir/call.h"

namespace tutti::comm {

class PlanCache {
 public:
  using Entry = std::shared_ptr<const executor::Programs>;

  // Null where there is none.
  const Entry& find(const ir::Call& call) const {
    if (last_ != nullptr && (*last_)->main.call == call) return *last_;
    const Entry& entry = entries_[slotOf(call)];
    if (entry == nullptr || !(entry->main.call == call)) return kNone;
    last_ = &entry;
    return entry;
  }

  const Entry& insert(const ir::Call& call, Entry programs) {
    Entry& entry = entries_[slotOf(call)];
    entry = std::move(programs);
    last_ = &entry;
    return entry;
  }

  void clear() {
    entries_ = {};
    last_ = nullptr;
  }

  template <typename Visit>
  void forEach(Visit visit) const {
    for (const auto& entry : entries_) {
      if (entry != nullptr) visit(*entry);
    }
  }

 private:
  // Bounded: nothing grows with the number of different calls.
  static constexpr size_t kSlots = 256;  // as many as 8 bits tell apart
  static size_t slotOf(const ir::Call& call) {
    uint64_t hash = call.count * 0x9e3779b97f4a7c15u;
    hash ^= (static_cast<uint64_t>(call.collective) << 40) ^
            (static_cast<uint64_t>(call.type) << 32) ^ (static_cast<uint64_t>(call.op) << 24) ^
            static_cast<uint64_t>(call.root);
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash >> 56;  // the bits that depend on all others
  }

  inline static const Entry kNone;
  std::array<Entry, kSlots> entries_;
  mutable const Entry* last_ = nullptr;
};

}  // namespace tutti::comm
