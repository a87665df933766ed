// Measured rates, of which nearly equal ones become equal: noise makes no uneven plan.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace tutti::topology {

// First all rates are added, then settle, then each has its value.
class Rounding {
 public:
  void add(int64_t rate) { rates_.push_back(rate); }
  void settle();
  int64_t operator()(int64_t rate) const { return equal_.at(rate); }

 private:
  std::vector<int64_t> rates_;
  std::map<int64_t, int64_t> equal_;
};

}  // namespace tutti::topology
