#include "perf/common/collective.h"

namespace tutti::perf {

std::string Collective::refuse(int /*size*/, size_t /*minBytes*/, size_t /*maxBytes*/) const {
  return {};
}

std::string Collective::summary(const Shape& /*shape*/, size_t /*elementBytes*/, double /*seconds*/,
                                int /*size*/) const {
  return {};
}

double gigabytesPerSecond(double bytes, double seconds) {
  return bytes > 0 && seconds > 0 ? bytes / seconds * 1e-9 : 0;
}

size_t partOf(size_t count, size_t elementBytes, int size) {
  return count / static_cast<size_t>(size) & ~(16 / elementBytes - 1);
}

Bandwidth partedBandwidth(const Shape& shape, size_t elementBytes, double seconds, int size) {
  const double bytes = static_cast<double>(shape.count * elementBytes) * size;
  const double algorithm = gigabytesPerSecond(bytes, seconds);
  return {algorithm, algorithm * (size - 1) / size};
}

}  // namespace tutti::perf
