#include "topology/rounding.h"

#include <algorithm>

namespace tutti::topology {

namespace {

// Rates closer than this, in thousandths, are taken for equal.
constexpr int64_t kEqual = 120;

int64_t fewDigits(int64_t rate) {
  int64_t unit = 1;
  while (rate / unit >= 1000) unit *= 10;
  return std::max<int64_t>(1, (rate + unit / 2) / unit * unit);
}

}  // namespace

void Rounding::settle() {
  std::sort(rates_.begin(), rates_.end());
  for (size_t begin = 0; begin < rates_.size();) {
    size_t end = begin;
    while (end < rates_.size() && rates_[begin] * 1000 >= rates_[end] * (1000 - kEqual)) ++end;
    const int64_t middle = fewDigits(rates_[begin + (end - begin) / 2]);
    for (; begin < end; ++begin) equal_[rates_[begin]] = middle;
  }
}

}  // namespace tutti::topology
