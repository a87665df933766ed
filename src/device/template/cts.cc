#include "tests/cts/device/conformance.h"

namespace tutti::device::skeleton {

cts::Conformance conformance() {
  return {.unsupported = {{cts::kReduce, "no kernels yet"},
                          {cts::kShare, "the driver exports no memory"},
                          {cts::kStreams, "not written yet"}}};
}

}  // namespace tutti::device::skeleton
