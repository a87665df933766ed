#include "transports/ofi/library.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <rdma/fi_errno.h>

#include <cstring>
#include <mutex>
#include <vector>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/fork.h"
#include "src/base/log.h"
#include "src/device/library.h"
#include "src/ir/schedule.h"
#include "transports/ofi/provider.h"
#include "transports/wire.h"

namespace tutti::transports::ofi {
namespace {

base::Result<Fi> open() {
  const std::vector<std::string> names = {"libfabric.so.1"};
  TUTTI_ASSIGN_OR_RETURN(device::Library library, device::Library::open(names));
  Fi fi{};
  library.need("fi_getinfo", fi.getInfo);
  library.need("fi_freeinfo", fi.freeInfo);
  library.need("fi_dupinfo", fi.dupInfo);
  library.need("fi_fabric", fi.fabric);
  library.need("fi_version", fi.version);
  library.need("fi_strerror", fi.errorText);
  TUTTI_RETURN_IF_ERROR(library.missing());
  if (FI_VERSION_LT(fi.version(), kApiVersion)) {
    return base::Status(base::Code::kSystemError, base::kErrTransportFailed,
                        fmt::format("libfabric {}.{} is older than 1.11", FI_MAJOR(fi.version()),
                                    FI_MINOR(fi.version())));
  }
  return fi;
}

// What this transport needs, and all that it can cope with: a provider offers itself only where
// that covers what it asks of its users.
void describeNeeds(fi_info& hints) {
  hints.caps = FI_TAGGED;
  hints.mode = FI_CONTEXT | FI_CONTEXT2;
  hints.ep_attr->type = FI_EP_RDM;
  hints.domain_attr->mr_mode =
      FI_MR_LOCAL | FI_MR_ALLOCATED | FI_MR_VIRT_ADDR | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints.domain_attr->threading = FI_THREAD_DOMAIN;
  hints.domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints.domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints.domain_attr->resource_mgmt = FI_RM_ENABLED;
}

base::Result<fi_info*> ask(const Fi& fi, const std::string& list) {
  fi_info* hints = fi.dupInfo(nullptr);
  if (hints == nullptr) return failure(fi, "asking what there is", -FI_ENOMEM);
  describeNeeds(*hints);
  // Some are offered only to those that ask by name. libfabric frees it with the rest.
  if (isOneName(list)) hints->fabric_attr->prov_name = strdup(list.c_str());
  fi_info* found = nullptr;
  const int status = fi.getInfo(kApiVersion, nullptr, nullptr, 0, hints, &found);
  fi.freeInfo(hints);
  if (status == -FI_ENODATA) return static_cast<fi_info*>(nullptr);
  if (status != 0) return failure(fi, "asking what there is", status);
  return found;
}

std::string addressOf(const fi_info& info) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto* source = static_cast<const sockaddr*>(info.src_addr);
  if (info.addr_format == FI_SOCKADDR_IN && info.src_addrlen >= sizeof(sockaddr_in)) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(source)->sin_addr, text, sizeof text);
  } else if (info.addr_format == FI_SOCKADDR_IN6 && info.src_addrlen >= sizeof(sockaddr_in6)) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(source)->sin6_addr, text,
              sizeof text);
  }
  return text;
}

base::Result<const fi_info*> chooseAmong(const fi_info* all, const std::string& list,
                                         std::span<const std::string> addresses) {
  constexpr size_t kMost = ir::Limits::kFifoSlotBytes + sizeof(Frame);
  std::vector<const fi_info*> infos;
  std::vector<Offer> offers;
  for (const fi_info* info = all; info != nullptr; info = info->next) {
    if (info->ep_attr->max_msg_size < kMost) continue;
    infos.push_back(info);
    offers.push_back({info->fabric_attr->prov_name, addressOf(*info)});
  }
  const auto chosen = choose(offers, list, addresses);
  if (chosen) {
    TUTTI_LOG_INFO(kInit, "libfabric: provider {}, {} {}", offers[*chosen].provider,
                   infos[*chosen]->domain_attr->name, offers[*chosen].address);
    return infos[*chosen];
  }
  return base::Status(base::Code::kSystemError, base::kErrTransportFailed,
                      fmt::format("libfabric has no provider for this host that {}; it has: {}",
                                  list.empty() ? "reaches others (TUTTI_OFI_PROVIDER names one)"
                                               : "TUTTI_OFI_PROVIDER=" + list + " allows",
                                  namesOf(offers)));
}

}  // namespace

const base::Result<Fi>& library() {
  static const base::Result<Fi> opened = open();
  return opened;
}

base::Result<const fi_info*> network(const Fi& fi, std::span<const std::string> addresses) {
  static std::mutex mutex;
  static fi_info* kept = nullptr;
  static bool hasAsked = false;
  static uint32_t generation = 0;
  const std::string& list = base::processConfig().get(base::param::kOfiProvider);
  const std::lock_guard lock(mutex);
  if (!hasAsked || generation != base::forkGeneration()) {
    TUTTI_ASSIGN_OR_RETURN(kept, ask(fi, list));
    hasAsked = true;
    generation = base::forkGeneration();
  }
  return chooseAmong(kept, list, addresses);
}

base::Status failure(const Fi& fi, std::string_view what, int64_t error) {
  return {base::Code::kSystemError, base::kErrTransportFailed,
          fmt::format("libfabric: {}: {}", what, fi.errorText(static_cast<int>(-error)))};
}

}  // namespace tutti::transports::ofi
