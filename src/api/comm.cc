// Communicators, groups, errors, launchers.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "src/api/entry.h"
#include "src/base/config.h"
#include "src/base/log.h"
#include "src/comm/describe.h"
#include "src/comm/group.h"
#include "src/comm/process.h"

using tutti::api::enter;
using tutti::api::handleOf;
using tutti::api::invalid;
using tutti::base::Code;
using tutti::base::Status;
using tutti::comm::CommConfig;
using tutti::comm::Handle;
using tutti::comm::InitArgs;
using tutti::comm::latch;
using tutti::comm::UniqueId;
namespace base = tutti::base;
namespace comm = tutti::comm;

static_assert(sizeof(tuttiUniqueId) == sizeof(UniqueId));
static_assert(static_cast<int>(Code::kTimeout) == tuttiTimeout);
static_assert(static_cast<int>(Code::kRemoteError) == tuttiRemoteError);
static_assert(static_cast<int>(Code::kInvalidUsage) == tuttiInvalidUsage);

namespace {

// Ids that came from the launcher: their communicators must fit its number of processes.
class LauncherIds {
 public:
  static LauncherIds& instance() {
    static auto* const ids = new LauncherIds;
    return *ids;
  }
  void add(const UniqueId& id) {
    const std::lock_guard lock(mutex_);
    ids_.push_back(id);
  }
  bool contains(const UniqueId& id) {
    const std::lock_guard lock(mutex_);
    return std::find(ids_.begin(), ids_.end(), id) != ids_.end();
  }

 private:
  std::mutex mutex_;
  std::vector<UniqueId> ids_;
};

UniqueId fromC(const tuttiUniqueId& id) {
  UniqueId result;
  std::memcpy(result.bytes.data(), id.internal, result.bytes.size());
  return result;
}

tuttiUniqueId toC(const UniqueId& id) {
  tuttiUniqueId result;
  std::memcpy(result.internal, id.bytes.data(), id.bytes.size());
  return result;
}

CommConfig defaultConfig() {
  const auto& process = base::processConfig();
  CommConfig config;
  config.isBlocking = process.get(base::param::kCommBlocking);
  config.timeout = process.get(base::param::kTimeout);
  config.device = process.get(base::param::kDevice);
  return config;
}

// The caller's config over `defaults`; what the environment sets wins over both.
base::Result<CommConfig> readConfig(const tuttiConfig_t* given, CommConfig defaults) {
  if (given == nullptr) return defaults;
  tuttiConfig_t config = TUTTI_CONFIG_INITIALIZER;
  if (given->size < offsetof(tuttiConfig_t, blocking) || given->magic != TUTTI_CONFIG_MAGIC) {
    return invalid("the config was not initialized with TUTTI_CONFIG_INITIALIZER");
  }
  std::memcpy(&config, given, std::min(given->size, sizeof(config)));
  const auto& process = base::processConfig();
  if (config.blocking != TUTTI_CONFIG_UNDEF_INT) {
    if (config.blocking != 0 && config.blocking != 1) {
      return invalid(fmt::format("config.blocking is {}; it must be 0 or 1", config.blocking));
    }
    if (!process.isSet(base::param::kCommBlocking)) defaults.isBlocking = config.blocking == 1;
  }
  if (config.timeoutMs != TUTTI_CONFIG_UNDEF_INT) {
    if (config.timeoutMs < 0) {
      return invalid(fmt::format("config.timeoutMs is {}; it must be 0 or more", config.timeoutMs));
    }
    if (!process.isSet(base::param::kTimeout)) {
      defaults.timeout = std::chrono::milliseconds(config.timeoutMs);
    }
  }
  if (config.device != nullptr && !process.isSet(base::param::kDevice)) {
    defaults.device = config.device;
  }
  if (config.commName != nullptr) defaults.name = config.commName;
  return defaults;
}

Status checkRank(int nRanks, int rank) {
  if (nRanks < 1) return invalid(fmt::format("nRanks is {}; it must be at least 1", nRanks));
  if (rank >= 0 && rank < nRanks) return {};
  return invalid(fmt::format("rank {} is outside 0..{}", rank, nRanks - 1));
}

// A communicator over a launcher's id holds the same number of ranks in every process.
Status checkLauncher(const std::vector<UniqueId>& ids, int nRanks, int rank) {
  if (base::processConfig().get(base::param::kIgnoreLauncher)) return {};
  const bool isLaunchers = std::any_of(ids.begin(), ids.end(), [](const UniqueId& id) {
    return LauncherIds::instance().contains(id);
  });
  if (!isLaunchers) return {};
  TUTTI_ASSIGN_OR_RETURN(const auto info, comm::detectLauncher());
  if (info.size == nRanks && info.rank != rank) {
    // Legal: frameworks number ranks as they like.
    TUTTI_LOG_INFO(kInit, "rank {} of the communicator is rank {} of {}", rank, info.rank,
                   info.launcher);
  }
  if (info.size <= 0 || nRanks % info.size == 0) return {};
  return {Code::kInvalidUsage, base::kErrLauncherMismatch,
          fmt::format("the communicator is to have {} ranks, but {} started {} processes; make the "
                      "sizes agree, or set TUTTI_IGNORE_LAUNCHER=1",
                      nRanks, info.launcher, info.size)};
}

// Inside a group the outermost end waits for what blocks.
Status initialize(Handle& handle, Handle::MakeArgs makeArgs) {
  const bool isDeferred = handle.config().isBlocking && tutti::comm::isInGroup();
  const Status status = handle.initialize(std::move(makeArgs), isDeferred);
  if (!isDeferred || status.code() != Code::kInProgress) return status;
  tutti::comm::joinAtEnd(handle);
  return {};
}

bool isUnderWayOrDone(const Status& status) {
  return status.isOk() || status.code() == Code::kInProgress;
}

Status initRank(tuttiComm_t* result, InitArgs args) {
  if (result == nullptr) return invalid("the pointer to the new communicator is null");
  *result = nullptr;
  TUTTI_RETURN_IF_ERROR(checkRank(args.size, args.rank));
  comm::warnOfSettings();
  TUTTI_RETURN_IF_ERROR(checkLauncher(args.ids, args.size, args.rank));
  Handle* handle = Handle::create(args.config);
  const Status status = initialize(*handle, [args = std::move(args)] { return args; });
  if (isUnderWayOrDone(status)) *result = reinterpret_cast<tuttiComm_t>(handle);
  return status;
}

// One thread per rank joins; the first failure ends the others' wait.
Status initAll(tuttiComm_t* results, std::vector<CommConfig> configs) {
  const int size = static_cast<int>(configs.size());
  TUTTI_ASSIGN_OR_RETURN(const UniqueId id, comm::createServedId());
  std::vector<Handle*> handles;
  std::vector<Status> statuses(configs.size());
  for (auto& config : configs) {
    config.isBlocking = true;
    handles.push_back(Handle::create(config));
  }
  {
    std::vector<std::jthread> threads;  // joined also where one of them can not be started
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        const auto index = static_cast<size_t>(rank);
        statuses[index] = handles[index]->initialize({{id}, rank, size, configs[index]});
        if (statuses[index].isOk()) return;
        for (auto* other : handles) other->cancelInit();  // they would wait for this one
      });
    }
  }
  // A rank that waited in vain for another one has less to tell than that one.
  const auto isCause = [](const Status& status) {
    return !status.isOk() && status.code() != Code::kTimeout &&
           status.code() != Code::kRemoteError && status.errorId() != tutti::base::kErrJoinAborted;
  };
  auto failed = std::find_if(statuses.begin(), statuses.end(), isCause);
  if (failed == statuses.end()) {
    failed = std::find_if(statuses.begin(), statuses.end(),
                          [](const Status& status) { return !status.isOk(); });
  }
  if (failed != statuses.end()) {
    for (auto* handle : handles) (void)handle->abort();
    return *failed;
  }
  for (size_t i = 0; i < handles.size(); ++i) {
    results[i] = reinterpret_cast<tuttiComm_t>(handles[i]);
  }
  return {};
}

Status split(tuttiComm_t parent, int color, int key, tuttiComm_t* result,
             const tuttiConfig_t* config) {
  if (result == nullptr) return invalid("the pointer to the new communicator is null");
  *result = nullptr;
  if (color < 0 && color != TUTTI_SPLIT_NOCOLOR) {
    return invalid(fmt::format("colour {} is negative and not TUTTI_SPLIT_NOCOLOR", color));
  }
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(parent));
  const auto turn = std::make_shared<std::optional<Handle::Turn>>();
  turn->emplace(*handle);
  TUTTI_RETURN_IF_ERROR(handle->ready().status());
  CommConfig inherited = handle->config();
  inherited.name.clear();
  TUTTI_ASSIGN_OR_RETURN(const CommConfig childConfig, readConfig(config, inherited));
  const auto makeArgs = [=]() -> base::Result<InitArgs> {
    (*turn)->await();
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->ready());
    auto args = communicator->splitArgs(color, key, childConfig);
    turn->reset();  // before the child is made: an abort of the parent waits for it
    return args;
  };
  Handle* child = Handle::create(childConfig);
  const Status status = initialize(*child, makeArgs);
  if (color == TUTTI_SPLIT_NOCOLOR) {
    handle->adopt(*child);
  } else if (isUnderWayOrDone(status)) {
    *result = reinterpret_cast<tuttiComm_t>(child);
  }
  return status;
}

}  // namespace

extern "C" {

tuttiResult_t tuttiGetVersion(int* version) {
  return enter(__func__, [&]() -> Status {
    if (version == nullptr) return invalid("version is null");
    *version = TUTTI_VERSION_CODE;
    return {};
  });
}

const char* tuttiGetErrorString(tuttiResult_t result) {
  switch (result) {
    case tuttiSuccess: return "no error";
    case tuttiUnhandledDeviceError: return "unhandled device error (see tuttiGetLastError)";
    case tuttiSystemError: return "unhandled system error (see tuttiGetLastError)";
    case tuttiInternalError: return "internal error: a defect of Tutti, please report it";
    case tuttiInvalidArgument: return "invalid argument (see tuttiGetLastError)";
    case tuttiInvalidUsage: return "invalid usage (see tuttiGetLastError)";
    case tuttiRemoteError: return "another rank exited, or the way to it broke";
    case tuttiInProgress: return "operation in progress";
    case tuttiTimeout: return "timeout";
    case tuttiNumResults: break;
  }
  return "unknown result code";
}

const char* tuttiGetLastError(tuttiComm_t comm) {
  const char* mine = tutti::api::lastError();
  if (mine[0] != '\0' || comm == nullptr) return mine;
  auto handle = handleOf(comm);
  if (!handle.isOk()) return mine;
  const Status failure = (*handle)->firstFailure();
  return failure.isOk() ? mine : tutti::api::keepText(failure.toString());
}

tuttiResult_t tuttiGetUniqueId(tuttiUniqueId* id) {
  return enter(__func__, [&]() -> Status {
    if (id == nullptr) return invalid("id is null");
    TUTTI_ASSIGN_OR_RETURN(const UniqueId made, comm::createUniqueId());
    *id = toC(made);
    return {};
  });
}

tuttiResult_t tuttiCommInitRank(tuttiComm_t* comm, int nRanks, tuttiUniqueId id, int rank) {
  return enter(__func__, [&] {
    return latch(initRank(comm, {{fromC(id)}, rank, nRanks, defaultConfig()}));
  });
}

tuttiResult_t tuttiCommInitRankConfig(tuttiComm_t* comm, int nRanks, tuttiUniqueId id, int rank,
                                      tuttiConfig_t* config) {
  return enter(__func__, [&]() -> Status {
    TUTTI_ASSIGN_OR_RETURN(const CommConfig read, readConfig(config, defaultConfig()));
    return latch(initRank(comm, {{fromC(id)}, rank, nRanks, read}));
  });
}

tuttiResult_t tuttiCommInitRankScalable(tuttiComm_t* comm, int nRanks, int rank, int nId,
                                        tuttiUniqueId* ids, tuttiConfig_t* config) {
  return enter(__func__, [&]() -> Status {
    if (ids == nullptr) return invalid("ids is null");
    if (nId < 1 || nId > nRanks) {
      return invalid(fmt::format("nId is {}; it must be in 1..{}", nId, nRanks));
    }
    TUTTI_ASSIGN_OR_RETURN(const CommConfig read, readConfig(config, defaultConfig()));
    InitArgs args{{}, rank, nRanks, read};
    for (int i = 0; i < nId; ++i) args.ids.push_back(fromC(ids[i]));
    return latch(initRank(comm, std::move(args)));
  });
}

tuttiResult_t tuttiCommInitAll(tuttiComm_t* comms, int nDev, const int* devices) {
  return enter(__func__, [&]() -> Status {
    if (comms == nullptr) return invalid("comms is null");
    if (nDev < 1) return invalid(fmt::format("nDev is {}; it must be at least 1", nDev));
    (void)devices;  // the host is one device
    return initAll(comms, std::vector<CommConfig>(static_cast<size_t>(nDev), defaultConfig()));
  });
}

tuttiResult_t tuttiCommInitAllConfig(tuttiComm_t* comms, int nDev, const char* const* devices,
                                     tuttiConfig_t* config) {
  return enter(__func__, [&]() -> Status {
    if (comms == nullptr) return invalid("comms is null");
    if (nDev < 1) return invalid(fmt::format("nDev is {}; it must be at least 1", nDev));
    TUTTI_ASSIGN_OR_RETURN(const CommConfig read, readConfig(config, defaultConfig()));
    std::vector<CommConfig> configs(static_cast<size_t>(nDev), read);
    for (size_t i = 0; devices != nullptr && i < configs.size(); ++i) {
      if (devices[i] != nullptr) configs[i].device = devices[i];
    }
    return initAll(comms, std::move(configs));
  });
}

tuttiResult_t tuttiCommSplit(tuttiComm_t comm, int color, int key, tuttiComm_t* newComm,
                             tuttiConfig_t* config) {
  return enter(__func__, [&] { return latch(split(comm, color, key, newComm, config)); });
}

tuttiResult_t tuttiCommFinalize(tuttiComm_t comm) {
  return enter(__func__, [&]() -> Status {
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    return handle->finalize();
  });
}

tuttiResult_t tuttiCommDestroy(tuttiComm_t comm) {
  return enter(__func__, [&]() -> Status {
    if (comm == nullptr) return {};
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    return handle->destroy();
  });
}

tuttiResult_t tuttiCommAbort(tuttiComm_t comm) {
  return enter(__func__, [&]() -> Status {
    if (comm == nullptr) return {};
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    return handle->abort();
  });
}

tuttiResult_t tuttiCommGetAsyncError(tuttiComm_t comm, tuttiResult_t* asyncError) {
  return enter(__func__, [&]() -> Status {
    if (asyncError == nullptr) return invalid("asyncError is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    if (handle->state() == Handle::State::kGone) return handle->asyncStatus();
    *asyncError = static_cast<tuttiResult_t>(handle->asyncStatus().code());
    return {};
  });
}

tuttiResult_t tuttiCommCount(tuttiComm_t comm, int* count) {
  return enter(__func__, [&]() -> Status {
    if (count == nullptr) return invalid("count is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->queryable());
    *count = communicator->size();
    return {};
  });
}

tuttiResult_t tuttiCommUserRank(tuttiComm_t comm, int* rank) {
  return enter(__func__, [&]() -> Status {
    if (rank == nullptr) return invalid("rank is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->queryable());
    *rank = communicator->rank();
    return {};
  });
}

tuttiResult_t tuttiCommDevice(tuttiComm_t comm, int* device) {
  return enter(__func__, [&]() -> Status {
    if (device == nullptr) return invalid("device is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->queryable());
    *device = communicator->device().describe().index;
    return {};
  });
}

tuttiResult_t tuttiCommDeviceName(tuttiComm_t comm, const char** name) {
  return enter(__func__, [&]() -> Status {
    if (name == nullptr) return invalid("name is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->queryable());
    *name = communicator->config().device.c_str();
    return {};
  });
}

tuttiResult_t tuttiGetLauncherInfo(tuttiLauncherInfo_t* info) {
  return enter(__func__, [&]() -> Status {
    if (info == nullptr) return invalid("info is null");
    *info = {-1, -1, -1, -1, "none"};
    TUTTI_ASSIGN_OR_RETURN(const auto found, comm::detectLauncher());
    *info = {found.rank, found.size, found.localRank, found.localSize, found.launcher};
    return {};
  });
}

tuttiResult_t tuttiGetLauncherUniqueId(tuttiUniqueId* id, const char* tag) {
  return enter(__func__, [&]() -> Status {
    if (id == nullptr) return invalid("id is null");
    TUTTI_ASSIGN_OR_RETURN(const auto info, comm::detectLauncher());
    TUTTI_ASSIGN_OR_RETURN(const UniqueId made,
                           comm::launcherUniqueId(info, tag == nullptr ? "" : tag));
    LauncherIds::instance().add(made);
    *id = toC(made);
    return {};
  });
}

tuttiResult_t tuttiGroupStart(void) {
  comm::groupStart();
  return tuttiSuccess;
}

tuttiResult_t tuttiGroupEnd(void) {
  return enter(__func__, [] { return comm::groupEnd(); });
}

tuttiResult_t tuttiDescribe(const char** json) {
  return enter(__func__, [&]() -> Status {
    if (json == nullptr) return invalid("json is null");
    *json = tutti::api::keepText(comm::describeProcess());
    return {};
  });
}

tuttiResult_t tuttiCommDescribe(tuttiComm_t comm, const char** json) {
  return enter(__func__, [&]() -> Status {
    if (json == nullptr) return invalid("json is null");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call call(*handle);
    TUTTI_ASSIGN_OR_RETURN(comm::Communicator * communicator, handle->queryable());
    *json = tutti::api::keepText(communicator->describe());
    return {};
  });
}

}  // extern "C"
