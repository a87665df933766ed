#include "transports/ucx/library.h"

#include <fmt/format.h>

#include <mutex>
#include <string>
#include <vector>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/fork.h"
#include "src/device/library.h"
#include "transports/ucx/devices.h"

namespace tutti::transports::ucx {
namespace {

// UCX takes over the process's handlers for crashes as soon as it is loaded, and prints what it
// reports on standard output, where results belong. The library reports failures itself; who wants
// to see UCX's own words says so.
void quieten(const device::Library& library) {
  void (*disableSignals)() = nullptr;
  if (library.find("ucs_debug_disable_signals", disableSignals)) disableSignals();
  ucs_status_t (*setOption)(const char*, const char*) = nullptr;
  const std::string& level = base::processConfig().get(base::param::kUcxLogLevel);
  if (library.find("ucs_global_opts_set_value", setOption)) setOption("LOG_LEVEL", level.c_str());
}

base::Result<Ucp> open() {
  const std::vector<std::string> names = {"libucp.so.0"};
  TUTTI_ASSIGN_OR_RETURN(device::Library library, device::Library::open(names));
  Ucp ucp{};
  library.need("ucp_config_read", ucp.configRead);
  library.need("ucp_config_modify", ucp.configModify);
  library.need("ucp_config_release", ucp.configRelease);
  library.need("ucp_init_version", ucp.initVersion);
  library.need("ucp_get_version_string", ucp.versionString);
  library.need("ucp_worker_create", ucp.workerCreate);
  library.need("ucp_worker_destroy", ucp.workerDestroy);
  library.need("ucp_worker_get_address", ucp.workerGetAddress);
  library.need("ucp_worker_release_address", ucp.workerReleaseAddress);
  library.need("ucp_worker_get_efd", ucp.workerGetEfd);
  library.need("ucp_worker_arm", ucp.workerArm);
  library.need("ucp_worker_progress", ucp.workerProgress);
  library.need("ucp_worker_flush_nbx", ucp.workerFlush);
  library.need("ucp_worker_set_am_recv_handler", ucp.workerSetAmRecvHandler);
  library.need("ucp_ep_create", ucp.epCreate);
  library.need("ucp_ep_close_nbx", ucp.epClose);
  library.need("ucp_am_send_nbx", ucp.amSend);
  library.need("ucp_am_recv_data_nbx", ucp.amRecvData);
  library.need("ucp_am_data_release", ucp.amDataRelease);
  library.need("ucp_request_check_status", ucp.requestCheckStatus);
  library.need("ucp_request_free", ucp.requestFree);
  library.need("ucs_status_string", ucp.statusString);
  TUTTI_RETURN_IF_ERROR(library.missing());
  quieten(library);
  return ucp;
}

base::Result<std::string> netDevices() {
  const auto& settings = base::processConfig();
  const std::string& own = settings.get(base::param::kUcxNetDevices);
  if (!own.empty()) return own;
  return chooseDevices(listDevices(), settings.get(base::param::kSocketIfname),
                       settings.get(base::param::kIbHca));
}

base::Result<ucp_context_h> makeContext(const Ucp& ucp) {
  TUTTI_ASSIGN_OR_RETURN(const std::string devices, netDevices());
  ucp_config_t* config = nullptr;
  if (const auto status = ucp.configRead(nullptr, nullptr, &config); status != UCS_OK) {
    return failure(ucp, "reading its settings", status);
  }
  const auto& settings = base::processConfig();
  const auto set = ucp.configModify(config, "TLS", settings.get(base::param::kUcxTls).c_str());
  const std::string& segment = settings.get(base::param::kUcxTcpSegment);
  for (const char* name : {"TX_SEG_SIZE", "RX_SEG_SIZE"}) {
    static_cast<void>(ucp.configModify(config, name, segment.c_str()));
  }
  if (!devices.empty()) {
    static_cast<void>(ucp.configModify(config, "NET_DEVICES", devices.c_str()));
  }
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  params.mt_workers_shared = 1;
  ucp_context_h context = nullptr;
  const auto made = ucp.initVersion(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &context);
  ucp.configRelease(config);
  if (set != UCS_OK) return failure(ucp, "TUTTI_UCX_TLS", set);
  if (made != UCS_OK) return failure(ucp, "starting", made);
  return context;
}

}  // namespace

const base::Result<Ucp>& library() {
  static const base::Result<Ucp> opened = open();
  return opened;
}

base::Status failure(const Ucp& ucp, std::string_view what, ucs_status_t status) {
  return {base::Code::kSystemError, base::kErrTransportFailed,
          fmt::format("UCX: {}: {}", what, ucp.statusString(status))};
}

base::Result<ucp_context_h> context(const Ucp& ucp) {
  static std::mutex mutex;
  static ucp_context_h kept = nullptr;
  static uint32_t generation = 0;
  const std::lock_guard lock(mutex);
  if (kept == nullptr || generation != base::forkGeneration()) {
    TUTTI_ASSIGN_OR_RETURN(kept, makeContext(ucp));
    generation = base::forkGeneration();
  }
  return kept;
}

}  // namespace tutti::transports::ucx
