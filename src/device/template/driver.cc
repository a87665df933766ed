#include "src/device/template/driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "src/base/errors.h"

namespace tutti::device::skeleton {

namespace {

constexpr const char* kLibrary = "libtutti-example-vendor.so.1";

base::Status missing() {
  const char* why = dlerror();
  return {base::Code::kDeviceError, base::kErrNoDevice, why != nullptr ? why : kLibrary};
}

// Looks up one symbol; false if the library lacks it.
template <typename Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

base::Result<Driver> openDriver() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return missing();
  Driver found;
  const bool isComplete = find(library, "vendorGetDeviceCount", found.getDeviceCount) &&
                          find(library, "vendorAllocate", found.allocate) &&
                          find(library, "vendorRelease", found.release) &&
                          find(library, "vendorCopy", found.copy);
  if (!isComplete) return missing();
  return found;
}

}  // namespace

const base::Result<Driver>& driver() {
  static const base::Result<Driver> kDriver = openDriver();
  return kDriver;
}

}  // namespace tutti::device::skeleton
