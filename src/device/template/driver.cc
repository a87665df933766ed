#include "src/device/template/driver.h"

#include <span>

#include "src/device/library.h"

namespace tutti::device::skeleton {

namespace {

base::Result<Driver> openDriver() {
  const std::string name = "libtutti-example-vendor.so.1";
  TUTTI_ASSIGN_OR_RETURN(Library library, Library::open(std::span(&name, 1)));
  Driver found;
  library.need("vendorGetDeviceCount", found.getDeviceCount);
  library.need("vendorAllocate", found.allocate);
  library.need("vendorRelease", found.release);
  library.need("vendorCopy", found.copy);
  TUTTI_RETURN_IF_ERROR(library.missing());
  return found;
}

}  // namespace

const base::Result<Driver>& driver() {
  static const base::Result<Driver> kDriver = openDriver();
  return kDriver;
}

}  // namespace tutti::device::skeleton
