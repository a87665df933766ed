#include "src/device/host/process.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace tutti::device::host {

namespace {

size_t pageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

ProcessId::ProcessId() {
  void* page =
      mmap(nullptr, pageSize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, pageSize(), MADV_WIPEONFORK) != 0) {
    munmap(page, pageSize());
    return;
  }
  page_ = new (page) std::atomic<pid_t>(0);
}

ProcessId::~ProcessId() {
  if (page_ != nullptr) munmap(page_, pageSize());
}

pid_t ProcessId::get() const {
  if (page_ == nullptr) return getpid();
  pid_t id = page_->load(std::memory_order_relaxed);
  if (id == 0) {
    id = getpid();
    page_->store(id, std::memory_order_relaxed);
  }
  return id;
}

}  // namespace tutti::device::host
