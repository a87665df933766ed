// Memory, streams and reduction operators of a rank's device.
#include <fmt/format.h>

#include <memory>

#include "src/api/entry.h"
#include "src/comm/process.h"

using tutti::api::enter;
using tutti::api::handleOf;
using tutti::api::invalid;
using tutti::base::Status;
using tutti::comm::Communicator;
using tutti::comm::Handle;
namespace device = tutti::device;

namespace {

Status allocate(device::Device& on, void** pointer, size_t bytes) {
  *pointer = nullptr;
  if (bytes == 0) return {};
  TUTTI_ASSIGN_OR_RETURN(*pointer, on.memory().allocate(bytes));
  return {};
}

// Streams outlive communicators: after destroy, the process's device serves them.
tutti::base::Result<std::shared_ptr<device::Device>> deviceOf(tuttiComm_t comm) {
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
  const Handle::Call call(*handle);
  auto communicator = handle->queryable();
  if (communicator.isOk()) return (*communicator)->sharedDevice();
  if (handle->state() != Handle::State::kGone) return communicator.status();
  return tutti::comm::processDevice();
}

// What may wait does so outside the communicator, which an abort can then end.
Status withDevice(tuttiComm_t comm, auto&& body) {
  TUTTI_ASSIGN_OR_RETURN(const auto device, deviceOf(comm));
  return body(*device);
}

}  // namespace

extern "C" {

tuttiResult_t tuttiMemAlloc(void** pointer, size_t bytes) {
  return enter(__func__, [&]() -> Status {
    if (pointer == nullptr) return invalid("pointer is null");
    TUTTI_ASSIGN_OR_RETURN(const auto on, tutti::comm::processDevice());
    return allocate(*on, pointer, bytes);
  });
}

tuttiResult_t tuttiMemFree(void* pointer) {
  return enter(__func__, [&]() -> Status {
    if (pointer == nullptr) return {};
    TUTTI_ASSIGN_OR_RETURN(const auto on, tutti::comm::processDevice());
    return on->memory().release(pointer);
  });
}

tuttiResult_t tuttiMemAllocOn(tuttiComm_t comm, void** pointer, size_t bytes) {
  return enter(__func__, [&]() -> Status {
    if (pointer == nullptr) return invalid("pointer is null");
    return withDevice(comm, [&](device::Device& on) { return allocate(on, pointer, bytes); });
  });
}

tuttiResult_t tuttiMemcpy(tuttiComm_t comm, void* destination, const void* source, size_t bytes,
                          tuttiStream_t stream) {
  return enter(__func__, [&]() -> Status {
    if (bytes == 0) return {};
    if (destination == nullptr || source == nullptr) return invalid("a buffer is null");
    return withDevice(comm, [&](device::Device& on) -> Status {
      if (stream != nullptr) return on.order().enqueueCopy(stream, destination, source, bytes);
      on.queue().copy(destination, source, bytes, false);
      return {};
    });
  });
}

tuttiResult_t tuttiCommRegister(tuttiComm_t comm, void* buffer, size_t bytes, void** handle) {
  return enter(__func__, [&]() -> Status {
    if (handle == nullptr) return invalid("handle is null");
    *handle = nullptr;
    if (buffer == nullptr && bytes > 0) return invalid("buffer is null");
    // Memory from tuttiMemAlloc is shared from birth, and host memory from elsewhere can not be
    // mapped by peers at all: there is nothing to keep. The call checks what it was given.
    return withDevice(comm, [](device::Device&) { return Status(); });
  });
}

tuttiResult_t tuttiCommDeregister(tuttiComm_t comm, void* handle) {
  return enter(__func__, [&]() -> Status {
    if (handle != nullptr) return invalid("the handle was not given by tuttiCommRegister");
    return withDevice(comm, [](device::Device&) { return Status(); });
  });
}

tuttiResult_t tuttiStreamCreate(tuttiComm_t comm, tuttiStream_t* stream) {
  return enter(__func__, [&]() -> Status {
    if (stream == nullptr) return invalid("stream is null");
    *stream = nullptr;
    return withDevice(comm, [&](device::Device& on) -> Status {
      TUTTI_ASSIGN_OR_RETURN(*stream, on.order().createStream());
      return {};
    });
  });
}

tuttiResult_t tuttiStreamSynchronize(tuttiComm_t comm, tuttiStream_t stream) {
  return enter(__func__, [&]() -> Status {
    if (stream == nullptr) return {};
    return withDevice(comm, [&](device::Device& on) { return on.order().synchronize(stream); });
  });
}

tuttiResult_t tuttiStreamQuery(tuttiComm_t comm, tuttiStream_t stream, int* isDone) {
  return enter(__func__, [&]() -> Status {
    if (isDone == nullptr) return invalid("isDone is null");
    *isDone = 1;
    if (stream == nullptr) return {};
    return withDevice(comm, [&](device::Device& on) -> Status {
      TUTTI_ASSIGN_OR_RETURN(const bool isIdle, on.order().isIdle(stream));
      *isDone = isIdle ? 1 : 0;
      return {};
    });
  });
}

tuttiResult_t tuttiStreamDestroy(tuttiComm_t comm, tuttiStream_t stream) {
  return enter(__func__, [&]() -> Status {
    if (stream == nullptr) return {};
    return withDevice(comm, [&](device::Device& on) { return on.order().destroyStream(stream); });
  });
}

tuttiResult_t tuttiRedOpCreatePreMulSum(tuttiRedOp_t* op, void* scalar, tuttiDataType_t type,
                                        tuttiScalarResidence_t residence, tuttiComm_t comm) {
  return enter(__func__, [&]() -> Status {
    if (op == nullptr || scalar == nullptr) return invalid("op or scalar is null");
    if (type < 0 || type >= tuttiNumTypes) return invalid(fmt::format("{} is no type", int{type}));
    if (residence != tuttiScalarDevice && residence != tuttiScalarHostImmediate) {
      return invalid(fmt::format("{} is no scalar residence", static_cast<int>(residence)));
    }
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
    TUTTI_ASSIGN_OR_RETURN(const int32_t made, communicator->redOps().create(
                                                   scalar, static_cast<tutti::ir::DataType>(type),
                                                   residence == tuttiScalarDevice));
    *op = static_cast<tuttiRedOp_t>(made);
    return {};
  });
}

tuttiResult_t tuttiRedOpDestroy(tuttiRedOp_t op, tuttiComm_t comm) {
  return enter(__func__, [&]() -> Status {
    if (op >= 0 && op < tuttiNumOps) return invalid("a built-in operator can not be destroyed");
    TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(comm));
    const Handle::Call inside(*handle);
    TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
    return communicator->redOps().destroy(op);
  });
}

}  // extern "C"
