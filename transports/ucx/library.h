// The entry points of UCX that this transport uses, found at run time: nothing links UCX.
#pragma once

#include <ucp/api/ucp.h>

#include <string_view>

#include "src/base/status.h"

namespace tutti::transports::ucx {

struct Ucp {
  decltype(&ucp_config_read) configRead;
  decltype(&ucp_config_modify) configModify;
  decltype(&ucp_config_release) configRelease;
  decltype(&ucp_init_version) initVersion;
  decltype(&ucp_get_version_string) versionString;
  decltype(&ucp_worker_create) workerCreate;
  decltype(&ucp_worker_destroy) workerDestroy;
  decltype(&ucp_worker_get_address) workerGetAddress;
  decltype(&ucp_worker_release_address) workerReleaseAddress;
  decltype(&ucp_worker_get_efd) workerGetEfd;
  decltype(&ucp_worker_arm) workerArm;
  decltype(&ucp_worker_progress) workerProgress;
  decltype(&ucp_worker_flush_nbx) workerFlush;
  decltype(&ucp_worker_set_am_recv_handler) workerSetAmRecvHandler;
  decltype(&ucp_ep_create) epCreate;
  decltype(&ucp_ep_close_nbx) epClose;
  decltype(&ucp_am_send_nbx) amSend;
  decltype(&ucp_am_recv_data_nbx) amRecvData;
  decltype(&ucp_am_data_release) amDataRelease;
  decltype(&ucp_request_check_status) requestCheckStatus;
  decltype(&ucp_request_free) requestFree;
  decltype(&ucs_status_string) statusString;
};

// Opened once per process; the failure says what is missing. Any thread.
const base::Result<Ucp>& library();

// The one context of the process, made when first asked for and kept: looking for devices takes
// milliseconds. A forked child gets one of its own. Any thread.
base::Result<ucp_context_h> context(const Ucp& ucp);

// "UCX: <what>: <its own words>" (kErrTransportFailed).
base::Status failure(const Ucp& ucp, std::string_view what, ucs_status_t status);

}  // namespace tutti::transports::ucx
