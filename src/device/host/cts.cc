#include "tests/cts/device/conformance.h"

namespace tutti::device::host {

cts::Conformance conformance() { return {}; }  // the host supports all of it

}  // namespace tutti::device::host
