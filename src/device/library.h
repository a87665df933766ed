// A vendor's library, opened at run time: Tutti links none, and runs without.
#pragma once

#include <span>
#include <string>

#include "src/base/status.h"

namespace tutti::device {

// Stays in the process for good, since vendors' libraries do not survive being closed; opening one
// again costs next to nothing. Any thread.
class Library {
 public:
  // The first of `names` (sonames or paths) that can be opened. The failure (kErrNoDevice) says of
  // the first name why not.
  static base::Result<Library> open(std::span<const std::string> names);

  // Sets `function` to the entry point of that name, to null where the library has none.
  template <typename Function>
  bool find(const char* symbol, Function& function) const {
    function = reinterpret_cast<Function>(address(symbol));
    return function != nullptr;
  }

  // Sets `function`, or remembers the name for `missing`.
  template <typename Function>
  void need(const char* symbol, Function& function) {
    if (!find(symbol, function) && missing_.empty()) missing_ = symbol;
  }

  // Ok, or which entry point was needed first that is not there (kErrNoDevice).
  base::Status missing() const;

 private:
  Library(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  void* address(const char* symbol) const;

  void* handle_;
  std::string name_;
  std::string missing_;
};

}  // namespace tutti::device
