// Collectives, sends and receives: arguments are checked here and nowhere else.
#include <fmt/format.h>

#include <cstring>
#include <numeric>

#include "src/api/entry.h"
#include "src/base/config.h"
#include "src/comm/group.h"

using tutti::api::enter;
using tutti::api::handleOf;
using tutti::api::invalid;
using tutti::base::Status;
using tutti::comm::Communicator;
using tutti::comm::Handle;
using tutti::comm::Work;
using tutti::ir::Collective;
namespace comm = tutti::comm;
namespace ir = tutti::ir;

static_assert(static_cast<int>(ir::DataType::kFloat8e5m2) == tuttiFloat8e5m2);
static_assert(static_cast<int>(ir::DataType::kBfloat16) == tuttiBfloat16);
static_assert(static_cast<int>(ir::RedOp::kAvg) == tuttiAvg);
static_assert(static_cast<int>(ir::RedOp::kMin) == tuttiMin);

namespace {

// The arguments of one call, as far as the functions share them.
struct Arguments {
  const void* send = nullptr;
  void* recv = nullptr;
  size_t count = 0;
  tuttiDataType_t type = tuttiFloat32;
  tuttiRedOp_t op = tuttiSum;
  int root = 0;
  tuttiComm_t comm = nullptr;
  tuttiStream_t stream = nullptr;
};

Status checkType(tuttiDataType_t type) {
  if (type >= 0 && type < tuttiNumTypes) [[likely]]
    return {};
  return invalid(fmt::format("{} is no data type (0..{})", static_cast<int>(type),
                             static_cast<int>(tuttiNumTypes) - 1));
}

Status checkRoot(int root, int size, const char* what) {
  if (root >= 0 && root < size) [[likely]]
    return {};
  return invalid(fmt::format("{} {} is outside 0..{}", what, root, size - 1));
}

Status checkBuffer(const void* buffer, const char* what) {
  if (buffer != nullptr) [[likely]]
    return {};
  return invalid(fmt::format("the {} buffer is null", what));
}

// Bytes must be countable, in one rank's block and in all of them.
Status checkCount(size_t count, tuttiDataType_t type, int blocks) {
  constexpr uint64_t kMaxBytes = uint64_t{1} << 56;
  const uint64_t perElement =
      ir::sizeOf(static_cast<ir::DataType>(type)) * static_cast<uint64_t>(blocks);
  if (count <= kMaxBytes / perElement) [[likely]]
    return {};
  return invalid(fmt::format("{} elements are more than any memory holds", count));
}

// Which buffers a rank must have.
bool needsSend(Collective collective, bool isRoot) {
  switch (collective) {
    case Collective::kBroadcast:
    case Collective::kScatter: return isRoot;
    case Collective::kRecv: return false;
    default: return true;
  }
}
bool needsRecv(Collective collective, bool isRoot) {
  switch (collective) {
    case Collective::kReduce:
    case Collective::kGather: return isRoot;
    case Collective::kSend: return false;
    default: return true;
  }
}

Status makeWork(Communicator& communicator, Collective collective, const Arguments& arguments,
                Work& work) {
  const int size = communicator.size();
  const bool isPeer = collective == Collective::kSend || collective == Collective::kRecv;
  TUTTI_RETURN_IF_ERROR(checkType(arguments.type));
  if (isPeer || ir::hasRoot(collective)) {
    TUTTI_RETURN_IF_ERROR(checkRoot(arguments.root, size, isPeer ? "peer" : "root"));
  }
  TUTTI_RETURN_IF_ERROR(checkCount(arguments.count, arguments.type, size));
  const auto type = static_cast<ir::DataType>(arguments.type);
  work.call = {collective, type, ir::RedOp::kSum, arguments.count, arguments.root};
  if (ir::isReducing(collective)) {
    TUTTI_ASSIGN_OR_RETURN(const auto op, communicator.redOps().resolve(arguments.op, type, size));
    work.call.op = op.op;
    work.factor = op.factor;
    if (op.scalar != nullptr) [[unlikely]] {
      work.scalar = arguments.stream == nullptr ? nullptr : op.scalar;
      if (work.scalar == nullptr) std::memcpy(&work.factor.bits, op.scalar, ir::sizeOf(type));
    }
  }
  const bool isRoot = arguments.root == communicator.rank();
  if (arguments.count > 0) {
    if (needsSend(collective, isRoot)) {
      TUTTI_RETURN_IF_ERROR(checkBuffer(arguments.send, "send"));
    }
    if (needsRecv(collective, isRoot)) {
      TUTTI_RETURN_IF_ERROR(checkBuffer(arguments.recv, "receive"));
    }
  }
  work.input = arguments.send;
  work.output = arguments.recv;
  work.stream = arguments.stream;
  return {};
}

Status submitWork(Collective collective, const Arguments& arguments) {
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(arguments.comm));
  const Handle::Call inside(*handle);  // abort waits until it is left
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
  Work work;
  TUTTI_RETURN_IF_ERROR(makeWork(*communicator, collective, arguments, work));
  return comm::submit(*handle, std::move(work));
}

tuttiResult_t call(const char* function, Collective collective, const Arguments& arguments) {
  return enter(function, [&] { return comm::latch(submitWork(collective, arguments)); });
}

// Counts and displacements of a V form, checked; null displacements mean packed.
tutti::base::Result<tutti::executor::BlockTable> makeTable(const size_t* counts,
                                                           const size_t* displs, int size,
                                                           tuttiDataType_t type) {
  if (counts == nullptr) return invalid("the array of counts is null");
  TUTTI_RETURN_IF_ERROR(checkType(type));
  tutti::executor::BlockTable table;
  uint64_t next = 0;
  for (int rank = 0; rank < size; ++rank) {
    TUTTI_RETURN_IF_ERROR(checkCount(counts[rank], type, size));
    table.counts.push_back(counts[rank]);
    table.displs.push_back(displs == nullptr ? next : displs[rank]);
    next += counts[rank];
  }
  return table;
}

// A rank without elements may have no buffer.
std::byte* elementAt(const void* buffer, uint64_t index, tuttiDataType_t type) {
  if (buffer == nullptr) return nullptr;
  return static_cast<std::byte*>(const_cast<void*>(buffer)) +
         index * ir::sizeOf(static_cast<ir::DataType>(type));
}

Status submitGatherOrReduceV(Collective collective, Arguments arguments, size_t ownCount,
                             const size_t* counts, const size_t* displs) {
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(arguments.comm));
  const Handle::Call inside(*handle);  // abort waits until it is left
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
  TUTTI_ASSIGN_OR_RETURN(auto table,
                         makeTable(counts, displs, communicator->size(), arguments.type));
  const auto own = table.counts[static_cast<size_t>(communicator->rank())];
  if (collective == Collective::kAllGatherV && ownCount != own) {
    return invalid(fmt::format("sendCount is {}, but recvCounts[{}] is {}", ownCount,
                               communicator->rank(), own));
  }
  const uint64_t total = std::accumulate(table.counts.begin(), table.counts.end(), uint64_t{0});
  const bool isGather = collective == Collective::kAllGatherV;
  // A rank whose own part is empty may pass null for it.
  Work work;
  arguments.count = 0;
  TUTTI_RETURN_IF_ERROR(makeWork(*communicator, collective, arguments, work));
  const bool needsRecv = total > 0 && (isGather || own > 0);
  const bool needsSend = total > 0 && (!isGather || own > 0);
  TUTTI_RETURN_IF_ERROR(needsRecv ? checkBuffer(arguments.recv, "receive") : Status());
  TUTTI_RETURN_IF_ERROR(needsSend ? checkBuffer(arguments.send, "send") : Status());
  work.call.count = total;
  if (total > 0) work.table = std::move(table);
  return comm::submit(*handle, std::move(work));
}

// Forms in which ranks know only their own counts: the collective takes its place in the order of
// calls, then one message for each pair, also an empty one, in which both find whether they agree.
class Messages {
 public:
  Messages(Handle& handle, Communicator& communicator, Collective collective,
           const Arguments& arguments)
      : handle_(handle), communicator_(communicator), arguments_(arguments) {
    comm::groupStart();
    Arguments whole = arguments;
    whole.count = 0;
    submit(collective, whole);
  }

  void send(const void* buffer, uint64_t count, int peer) {
    Arguments one = arguments_;
    one.send = buffer;
    one.recv = nullptr;
    add(Collective::kSend, one, count, peer);
  }
  void receive(void* buffer, uint64_t count, int peer) {
    Arguments one = arguments_;
    one.send = nullptr;
    one.recv = buffer;
    add(Collective::kRecv, one, count, peer);
  }
  Status finish() { return comm::groupEnd(); }

 private:
  void add(Collective collective, Arguments& one, uint64_t count, int peer) {
    one.count = count;
    one.root = peer;
    submit(collective, one);
  }
  void submit(Collective collective, const Arguments& arguments) {
    Work work;
    const Status status = makeWork(communicator_, collective, arguments, work);
    work.isPart = !ir::isOfMessages(collective);
    (void)comm::latch(status.isOk() ? comm::submit(handle_, std::move(work)) : status);
  }

  Handle& handle_;
  Communicator& communicator_;
  const Arguments& arguments_;
};

Status submitAllToAllV(const Arguments& arguments, const size_t* sendCounts,
                       const size_t* sendDispls, const size_t* recvCounts,
                       const size_t* recvDispls) {
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(arguments.comm));
  const Handle::Call inside(*handle);  // abort waits until it is left
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
  const int size = communicator->size();
  const auto type = arguments.type;
  TUTTI_ASSIGN_OR_RETURN(const auto sends, makeTable(sendCounts, sendDispls, size, type));
  TUTTI_ASSIGN_OR_RETURN(const auto receives, makeTable(recvCounts, recvDispls, size, type));
  const auto total = [](const auto& counts) {
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  };
  if (total(sends.counts) > 0) TUTTI_RETURN_IF_ERROR(checkBuffer(arguments.send, "send"));
  if (total(receives.counts) > 0) TUTTI_RETURN_IF_ERROR(checkBuffer(arguments.recv, "receive"));
  if (arguments.send != nullptr && arguments.send == arguments.recv && size > 1) {
    return invalid("all_to_all_v can not work in place: the send buffer is the receive buffer");
  }
  Messages messages(*handle, *communicator, Collective::kAllToAllV, arguments);
  // Each rank starts with its right neighbour, so that not all write to one rank at once.
  for (int i = 0; i < size; ++i) {
    const int to = (communicator->rank() + i) % size;
    const int from = (communicator->rank() + size - i) % size;
    const auto s = static_cast<size_t>(to);
    const auto r = static_cast<size_t>(from);
    messages.send(elementAt(arguments.send, sends.displs[s], type), sends.counts[s], to);
    messages.receive(elementAt(arguments.recv, receives.displs[r], type), receives.counts[r], from);
  }
  return messages.finish();
}

// gather_v: everybody sends to root; scatter_v: root sends to everybody. `ownCount` is what this
// rank sends or receives; the arrays are read on root only.
Status submitRootedV(Collective collective, const Arguments& arguments, size_t ownCount,
                     const size_t* counts, const size_t* displs) {
  TUTTI_ASSIGN_OR_RETURN(Handle * handle, handleOf(arguments.comm));
  const Handle::Call inside(*handle);  // abort waits until it is left
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle->ready());
  TUTTI_RETURN_IF_ERROR(checkType(arguments.type));
  TUTTI_RETURN_IF_ERROR(checkRoot(arguments.root, communicator->size(), "root"));
  const bool isGather = collective == Collective::kGatherV;
  const bool isRoot = arguments.root == communicator->rank();
  const void* ownBuffer = isGather ? arguments.send : arguments.recv;
  tutti::executor::BlockTable table;
  if (isRoot) {
    TUTTI_ASSIGN_OR_RETURN(table, makeTable(counts, displs, communicator->size(), arguments.type));
    const auto own = table.counts[static_cast<size_t>(arguments.root)];
    if (own != ownCount) {
      return invalid(fmt::format("root's own count is {}, but the array says {}", ownCount, own));
    }
  }
  if (ownCount > 0) {
    TUTTI_RETURN_IF_ERROR(checkBuffer(ownBuffer, isGather ? "send" : "receive"));
  }
  const bool hasAny = std::accumulate(table.counts.begin(), table.counts.end(), uint64_t{0}) > 0;
  if (isRoot && hasAny) {
    TUTTI_RETURN_IF_ERROR(
        checkBuffer(isGather ? arguments.recv : arguments.send, isGather ? "receive" : "send"));
  }
  Messages messages(*handle, *communicator, collective, arguments);
  for (size_t rank = 0; isRoot && rank < table.counts.size(); ++rank) {
    const int peer = static_cast<int>(rank);
    if (isGather) {
      messages.receive(elementAt(arguments.recv, table.displs[rank], arguments.type),
                       table.counts[rank], peer);
    } else {
      messages.send(elementAt(arguments.send, table.displs[rank], arguments.type),
                    table.counts[rank], peer);
    }
  }
  if (isGather) {
    messages.send(arguments.send, ownCount, arguments.root);
  } else {
    messages.receive(arguments.recv, ownCount, arguments.root);
  }
  return messages.finish();
}

}  // namespace

extern "C" {

tuttiResult_t tuttiAllReduce(const void* send, void* recv, size_t count, tuttiDataType_t type,
                             tuttiRedOp_t op, tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kAllReduce, {send, recv, count, type, op, 0, comm, stream});
}

tuttiResult_t tuttiReduce(const void* send, void* recv, size_t count, tuttiDataType_t type,
                          tuttiRedOp_t op, int root, tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kReduce, {send, recv, count, type, op, root, comm, stream});
}

tuttiResult_t tuttiBroadcast(const void* send, void* recv, size_t count, tuttiDataType_t type,
                             int root, tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kBroadcast,
              {send, recv, count, type, tuttiSum, root, comm, stream});
}

tuttiResult_t tuttiBcast(void* buffer, size_t count, tuttiDataType_t type, int root,
                         tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kBroadcast,
              {buffer, buffer, count, type, tuttiSum, root, comm, stream});
}

tuttiResult_t tuttiAllGather(const void* send, void* recv, size_t sendCount, tuttiDataType_t type,
                             tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kAllGather,
              {send, recv, sendCount, type, tuttiSum, 0, comm, stream});
}

tuttiResult_t tuttiReduceScatter(const void* send, void* recv, size_t recvCount,
                                 tuttiDataType_t type, tuttiRedOp_t op, tuttiComm_t comm,
                                 tuttiStream_t stream) {
  return call(__func__, Collective::kReduceScatter,
              {send, recv, recvCount, type, op, 0, comm, stream});
}

tuttiResult_t tuttiAllToAll(const void* send, void* recv, size_t count, tuttiDataType_t type,
                            tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kAllToAll,
              {send, recv, count, type, tuttiSum, 0, comm, stream});
}

tuttiResult_t tuttiGather(const void* send, void* recv, size_t count, tuttiDataType_t type,
                          int root, tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kGather,
              {send, recv, count, type, tuttiSum, root, comm, stream});
}

tuttiResult_t tuttiScatter(const void* send, void* recv, size_t count, tuttiDataType_t type,
                           int root, tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kScatter,
              {send, recv, count, type, tuttiSum, root, comm, stream});
}

tuttiResult_t tuttiSend(const void* send, size_t count, tuttiDataType_t type, int peer,
                        tuttiComm_t comm, tuttiStream_t stream) {
  return call(__func__, Collective::kSend,
              {send, nullptr, count, type, tuttiSum, peer, comm, stream});
}

tuttiResult_t tuttiRecv(void* recv, size_t count, tuttiDataType_t type, int peer, tuttiComm_t comm,
                        tuttiStream_t stream) {
  return call(__func__, Collective::kRecv,
              {nullptr, recv, count, type, tuttiSum, peer, comm, stream});
}

tuttiResult_t tuttiAllGatherV(const void* send, size_t sendCount, void* recv,
                              const size_t* recvCounts, const size_t* displs, tuttiDataType_t type,
                              tuttiComm_t comm, tuttiStream_t stream) {
  const Arguments arguments{send, recv, 0, type, tuttiSum, 0, comm, stream};
  return enter(__func__, [&] {
    return comm::latch(
        submitGatherOrReduceV(Collective::kAllGatherV, arguments, sendCount, recvCounts, displs));
  });
}

tuttiResult_t tuttiReduceScatterV(const void* send, void* recv, const size_t* recvCounts,
                                  const size_t* displs, tuttiDataType_t type, tuttiRedOp_t op,
                                  tuttiComm_t comm, tuttiStream_t stream) {
  const Arguments arguments{send, recv, 0, type, op, 0, comm, stream};
  return enter(__func__, [&] {
    return comm::latch(
        submitGatherOrReduceV(Collective::kReduceScatterV, arguments, 0, recvCounts, displs));
  });
}

tuttiResult_t tuttiAllToAllV(const void* send, const size_t* sendCounts, const size_t* sendDispls,
                             void* recv, const size_t* recvCounts, const size_t* recvDispls,
                             tuttiDataType_t type, tuttiComm_t comm, tuttiStream_t stream) {
  const Arguments arguments{send, recv, 0, type, tuttiSum, 0, comm, stream};
  return enter(__func__, [&] {
    return comm::latch(submitAllToAllV(arguments, sendCounts, sendDispls, recvCounts, recvDispls));
  });
}

tuttiResult_t tuttiGatherV(const void* send, size_t sendCount, void* recv, const size_t* recvCounts,
                           const size_t* displs, tuttiDataType_t type, int root, tuttiComm_t comm,
                           tuttiStream_t stream) {
  const Arguments arguments{send, recv, 0, type, tuttiSum, root, comm, stream};
  return enter(__func__, [&] {
    return comm::latch(
        submitRootedV(Collective::kGatherV, arguments, sendCount, recvCounts, displs));
  });
}

tuttiResult_t tuttiScatterV(const void* send, const size_t* sendCounts, const size_t* displs,
                            void* recv, size_t recvCount, tuttiDataType_t type, int root,
                            tuttiComm_t comm, tuttiStream_t stream) {
  const Arguments arguments{send, recv, 0, type, tuttiSum, root, comm, stream};
  return enter(__func__, [&] {
    return comm::latch(
        submitRootedV(Collective::kScatterV, arguments, recvCount, sendCounts, displs));
  });
}

}  // extern "C"
