#include "src/device/library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "src/base/errors.h"

namespace tutti::device {

namespace {

base::Status failure(std::string text) {
  return {base::Code::kDeviceError, base::kErrNoDevice, std::move(text)};
}

}  // namespace

base::Result<Library> Library::open(std::span<const std::string> names) {
  std::string why;
  for (const std::string& name : names) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle != nullptr) {
      Library library(handle, name);
      dlclose(handle);  // RTLD_NODELETE keeps it; this only gives the count back
      return library;
    }
    const char* text = dlerror();
    if (why.empty()) why = text != nullptr ? text : name + ": cannot be opened";
  }
  return failure(std::move(why));
}

void* Library::address(const char* symbol) const { return dlsym(handle_, symbol); }

base::Status Library::missing() const {
  if (missing_.empty()) return {};
  return failure(fmt::format("{} lacks {}: too old, or of another kind", name_, missing_));
}

}  // namespace tutti::device
