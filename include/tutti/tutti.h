/* Tutti: collective communication for clusters that mix accelerators and host memory.
 *
 * The functions have NCCL's signatures with a `tutti` prefix and a device-neutral stream. C99.
 *
 * Words used throughout
 *   rank      one member of a communicator, 0 .. size-1. A rank is driven by one thread at a time.
 *   count     elements, not bytes, unless a name says bytes.
 *   stream    an ordered queue of the rank's device (tuttiStream_t). A null stream on a host rank
 *             means: complete before the call returns.
 *   in place  the send buffer is (a part of) the receive buffer, at the place each function names.
 *
 * Rules that hold for every collective
 *   - Every rank of the communicator calls it, in the same order, with the same count, type,
 *     operator and root. A disagreement is an error on every rank that can see it, never a hang.
 *   - Buffers belong to the caller, stay allocated until the call has completed, and may have any
 *     alignment. Send and receive buffers do not overlap unless in place. A null buffer is allowed
 *     only where no element of it is touched.
 *   - A zero count is legal and moves nothing. Such a call counts in the order of calls, waits for
 *     nobody, and is compared like any other.
 *   - All ranks get the same bits.
 *   - On a host rank with a null stream the call returns when this rank's part is done. With a
 *     stream it returns at once, ordered after earlier and before later work of that stream.
 *   - Between tuttiGroupStart and tuttiGroupEnd a call only queues; the outermost tuttiGroupEnd
 *     runs what was queued and reports its errors.
 *
 * Errors: every function returns a tuttiResult_t. tuttiGetLastError gives the text, with a stable
 * id ("TUTTI-E0101") explained in docs/errors.md. No function throws, aborts or exits. After a
 * failure a peer that stood still meanwhile may, when it goes on, still write what it was about to:
 * at most 256 KiB, into a buffer from tuttiMemAlloc that was part of the failed call.
 *
 * Threads: different communicators may be used by different threads at once; one communicator is
 * used by one thread at a time, except for tuttiCommAbort, tuttiCommGetAsyncError and
 * tuttiGetLastError, which any thread may call at any moment.
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define TUTTI_EXPORT __attribute__((visibility("default")))
#else
#define TUTTI_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_MAJOR 0
#define TUTTI_MINOR 1
#define TUTTI_PATCH 0
/* 10000 * major + 100 * minor + patch, as tuttiGetVersion reports it. */
#define TUTTI_VERSION_CODE (10000 * TUTTI_MAJOR + 100 * TUTTI_MINOR + TUTTI_PATCH)

#define TUTTI_UNIQUE_ID_BYTES 128
#define TUTTI_CONFIG_UNDEF_INT INT_MIN
#define TUTTI_CONFIG_UNDEF_PTR NULL
#define TUTTI_SPLIT_NOCOLOR (-1)

/* One member of a communicator. Opaque; made by the tuttiCommInit functions and tuttiCommSplit. */
typedef struct tuttiComm* tuttiComm_t;

/* An ordered queue of work of one device: what the device's own runtime calls a stream or queue
 * (cudaStream_t, hipStream_t, ...), or one made by tuttiStreamCreate. */
typedef void* tuttiStream_t;

/* What identifies a communicator to be: protocol version, addresses and a random secret. Made by
 * one rank and given to the others by any private channel; whoever has it can join. */
typedef struct {
  char internal[TUTTI_UNIQUE_ID_BYTES];
} tuttiUniqueId;

/* Values equal NCCL's. */
typedef enum {
  tuttiSuccess = 0,
  tuttiUnhandledDeviceError = 1, /* the device's runtime reported a failure */
  tuttiSystemError = 2,          /* the operating system refused something */
  tuttiInternalError = 3,        /* a defect of Tutti */
  tuttiInvalidArgument = 4,      /* an argument is out of its range */
  tuttiInvalidUsage = 5,         /* the call is not allowed now, or ranks disagree */
  tuttiRemoteError = 6,          /* another rank exited, or the way to it broke */
  tuttiInProgress = 7,           /* a non-blocking communicator is still at it; poll */
  tuttiTimeout = 8,              /* a peer did not arrive in time */
  tuttiNumResults = 9
} tuttiResult_t;

/* Values equal NCCL's. */
typedef enum {
  tuttiInt8 = 0,
  tuttiChar = 0,
  tuttiUint8 = 1,
  tuttiInt32 = 2,
  tuttiInt = 2,
  tuttiUint32 = 3,
  tuttiInt64 = 4,
  tuttiUint64 = 5,
  tuttiFloat16 = 6,
  tuttiHalf = 6,
  tuttiFloat32 = 7,
  tuttiFloat = 7,
  tuttiFloat64 = 8,
  tuttiDouble = 8,
  tuttiBfloat16 = 9,
  tuttiFloat8e4m3 = 10, /* OCP E4M3 */
  tuttiFloat8e5m2 = 11, /* OCP E5M2 */
  tuttiNumTypes = 12
} tuttiDataType_t;

/* Values equal NCCL's. tuttiAvg on floats multiplies each contribution by 1/size, converted to the
 * type, and sums; on integers it sums, then divides, truncating toward zero. Integers wrap. */
typedef enum {
  tuttiSum = 0,
  tuttiProd = 1,
  tuttiMax = 2,
  tuttiMin = 3,
  tuttiAvg = 4,
  tuttiNumOps = 5,
  tuttiMaxRedOp = 0x7fffffff
} tuttiRedOp_t;

/* Where the scalar of tuttiRedOpCreatePreMulSum lives. */
typedef enum {
  tuttiScalarDevice = 0,       /* memory of the rank's device, read when the operation runs */
  tuttiScalarHostImmediate = 1 /* host memory, read before the call returns */
} tuttiScalarResidence_t;

/* How to make a communicator. Always start from TUTTI_CONFIG_INITIALIZER. Environment variables
 * (TUTTI_*) win over these fields. */
typedef struct {
  size_t size;          /* sizeof(tuttiConfig_t) of the caller's header */
  unsigned int magic;   /* set by the initializer */
  unsigned int version; /* TUTTI_VERSION_CODE of the caller's header */
  int blocking;         /* 1: calls return when done (default); 0: they may return
                           tuttiInProgress, poll tuttiCommGetAsyncError */
  int timeoutMs;        /* how long a peer may be silent or late before it is an error;
                           0: for ever. Default 30000 */
  const char* device;   /* this rank's device, for example "host"; copied. Default: detected */
  const char* commName; /* shown in logs and reports; copied */
} tuttiConfig_t;

#define TUTTI_CONFIG_MAGIC 0x7ae71c0fu
#define TUTTI_CONFIG_INITIALIZER                                                           \
  {                                                                                        \
    sizeof(tuttiConfig_t), TUTTI_CONFIG_MAGIC, TUTTI_VERSION_CODE, TUTTI_CONFIG_UNDEF_INT, \
        TUTTI_CONFIG_UNDEF_INT, (const char*)NULL, (const char*)NULL                       \
  }

/* ---- Version and errors ------------------------------------------------------------------- */

/* Writes TUTTI_VERSION_CODE of the library. Starts nothing; safe before fork.
 * tuttiInvalidArgument: version is null. */
TUTTI_EXPORT tuttiResult_t tuttiGetVersion(int* version);

/* A short text for a result code. Static storage, never null. */
TUTTI_EXPORT const char* tuttiGetErrorString(tuttiResult_t result);

/* The text of the last failure seen by the calling thread, or, if this thread saw none, of the
 * first failure of `comm` (which may be null): cause, what was tried, what to do. Never null; "" if
 * there was none. Valid until the calling thread's next Tutti call. */
TUTTI_EXPORT const char* tuttiGetLastError(tuttiComm_t comm);

/* ---- Communicators ------------------------------------------------------------------------ */

/* Makes an id and starts the rendezvous it names, in a thread of this process, which must live
 * until every rank has joined. With TUTTI_ADDR (alias NCCL_COMM_ID) set to host:port, every process
 * gets the same id, derived from TUTTI_SECRET where set, and rank 0 serves the rendezvous.
 * Does not block. tuttiInvalidArgument: id is null. tuttiSystemError: no usable interface. */
TUTTI_EXPORT tuttiResult_t tuttiGetUniqueId(tuttiUniqueId* id);

/* Joins the communicator `id` as `rank` of `nRanks`; blocks until all have joined, at most the
 * timeout. The device is the one from the environment, else the host.
 * tuttiInvalidArgument: comm is null, nRanks < 1, rank outside 0..nRanks-1.
 * tuttiInvalidUsage: ranks disagree on the size, or two are the same rank; or `id` is the
 * launcher's and nRanks no multiple of the number of processes it started, unless
 * TUTTI_IGNORE_LAUNCHER is set.
 * tuttiTimeout, tuttiRemoteError: a rank did not come, or left; the text names it.
 * Inside a group the outermost tuttiGroupEnd blocks instead, and returns the first failure: one
 * thread can so make several ranks. *comm is valid at once, for that and for tuttiCommAbort. */
TUTTI_EXPORT tuttiResult_t tuttiCommInitRank(tuttiComm_t* comm, int nRanks, tuttiUniqueId id,
                                             int rank);

/* As tuttiCommInitRank with a config (null for defaults). With blocking = 0 it returns
 * tuttiInProgress and *comm is valid at once for tuttiCommGetAsyncError and tuttiCommAbort. */
TUTTI_EXPORT tuttiResult_t tuttiCommInitRankConfig(tuttiComm_t* comm, int nRanks, tuttiUniqueId id,
                                                   int rank, tuttiConfig_t* config);

/* As tuttiCommInitRankConfig over `nId` rendezvous servers (1 .. nRanks), each of which takes a
 * contiguous share of the ranks. All ranks pass the same ids in the same order. */
TUTTI_EXPORT tuttiResult_t tuttiCommInitRankScalable(tuttiComm_t* comm, int nRanks, int rank,
                                                     int nId, tuttiUniqueId* ids,
                                                     tuttiConfig_t* config);

/* Makes one communicator whose `nDev` ranks all belong to this process: comms[i] is rank i.
 * devices[i] is a device index of the detected vendor; null, or any value on the host, means 0.
 * Drive the ranks from threads of their own, or from one thread inside a group. */
TUTTI_EXPORT tuttiResult_t tuttiCommInitAll(tuttiComm_t* comms, int nDev, const int* devices);

/* As tuttiCommInitAll with a device for each rank by name, "host" or "opencl:0"; null array or null
 * entries mean the default, and one config for all (null for defaults), but for its `blocking`: the
 * call blocks, and so do the communicators. */
TUTTI_EXPORT tuttiResult_t tuttiCommInitAllConfig(tuttiComm_t* comms, int nDev,
                                                  const char* const* devices,
                                                  tuttiConfig_t* config);

/* Splits `comm` into one communicator per colour; ranks are ordered by key, then by old rank.
 * Collective over comm. color >= 0, or TUTTI_SPLIT_NOCOLOR, which gives *newComm = NULL. A null
 * config inherits the parent's. Blocks until the new communicator is made; inside a group the
 * outermost tuttiGroupEnd does. Where the new one does not block, returns tuttiInProgress: poll
 * comm until all ranks have met, *newComm until it is made. */
TUTTI_EXPORT tuttiResult_t tuttiCommSplit(tuttiComm_t comm, int color, int key,
                                          tuttiComm_t* newComm, tuttiConfig_t* config);

/* Completes what was enqueued and tells the peers that this rank is leaving in order. Collective.
 * At most once; then only tuttiCommDestroy, tuttiCommAbort and queries are allowed. Where `comm`
 * does not block and something is under way, returns tuttiInProgress; poll. */
TUTTI_EXPORT tuttiResult_t tuttiCommFinalize(tuttiComm_t comm);

/* Finalizes if needed, blocking, and frees the communicator. Null is allowed. The handle is invalid
 * after. */
TUTTI_EXPORT tuttiResult_t tuttiCommDestroy(tuttiComm_t comm);

/* Ends all work of this rank at once, from any thread, tells the peers, and frees the communicator.
 * A call of another thread that is blocked in this communicator returns tuttiInvalidUsage first.
 * Peers' calls end with tuttiRemoteError. Null is allowed. */
TUTTI_EXPORT tuttiResult_t tuttiCommAbort(tuttiComm_t comm);

/* The state of the communicator: tuttiSuccess, tuttiInProgress, or its first failure. Any
 * thread. */
TUTTI_EXPORT tuttiResult_t tuttiCommGetAsyncError(tuttiComm_t comm, tuttiResult_t* asyncError);

TUTTI_EXPORT tuttiResult_t tuttiCommCount(tuttiComm_t comm, int* count);
TUTTI_EXPORT tuttiResult_t tuttiCommUserRank(tuttiComm_t comm, int* rank);

/* The index of the rank's device among the devices of its vendor (0 on the host). */
TUTTI_EXPORT tuttiResult_t tuttiCommDevice(tuttiComm_t comm, int* device);

/* The rank's device by name, for example "host" or "opencl:0". Owned by the communicator. */
TUTTI_EXPORT tuttiResult_t tuttiCommDeviceName(tuttiComm_t comm, const char** name);

/* ---- Launchers ---------------------------------------------------------------------------- */

/* What the launcher of this process said (torchrun, Open MPI, MPICH/PMI, Slurm, or the explicit
 * TUTTI_RANK, TUTTI_SIZE, TUTTI_ADDR). */
typedef struct {
  int rank;             /* -1: no launcher detected */
  int size;             /* -1: no launcher detected */
  int localRank;        /* rank within this host, -1 if not told */
  int localSize;        /* ranks on this host, -1 if not told */
  const char* launcher; /* "torchrun", "openmpi", "mpich", "slurm", "tutti" or "none"; static */
} tuttiLauncherInfo_t;

/* Never fails for a non-null info; a launcher whose variables contradict each other is
 * tuttiInvalidUsage with a text that names them. */
TUTTI_EXPORT tuttiResult_t tuttiGetLauncherInfo(tuttiLauncherInfo_t* info);

/* Gives every process of one launch the same id with no other channel: from TUTTI_ADDR or the
 * launcher's own address variables (MASTER_ADDR and MASTER_PORT, PMIX/Slurm node lists), or, for
 * processes of one host, from a private rendezvous file. `tag` (may be null) tells several
 * communicators of one launch apart. */
TUTTI_EXPORT tuttiResult_t tuttiGetLauncherUniqueId(tuttiUniqueId* id, const char* tag);

/* ---- Groups ------------------------------------------------------------------------------- */

/* Opens a group in the calling thread; groups nest, and only the outermost end acts. */
TUTTI_EXPORT tuttiResult_t tuttiGroupStart(void);

/* Closes a group. The outermost end runs everything queued, over all communicators named, as one:
 * no order between point-to-point calls is needed to avoid deadlock. Returns the first error;
 * nothing of the group was started if an argument was wrong. tuttiInvalidUsage: no group is
 * open. */
TUTTI_EXPORT tuttiResult_t tuttiGroupEnd(void);

/* ---- Memory and streams of a rank's device ------------------------------------------------ */

/* Memory that peers on the same host can reach without a copy, for any communicator and before any
 * exists: on the host it is shared memory mapped on demand by peers, and shared with a forked
 * child. Zero bytes give null.
 * tuttiSystemError: out of memory. */
TUTTI_EXPORT tuttiResult_t tuttiMemAlloc(void** pointer, size_t bytes);

/* Frees what tuttiMemAlloc or tuttiMemAllocOn gave. Null is allowed. tuttiInvalidArgument: some
 * other pointer. The memory must not be in use by an unfinished call. */
TUTTI_EXPORT tuttiResult_t tuttiMemFree(void* pointer);

/* As tuttiMemAlloc on the device of `comm`. */
TUTTI_EXPORT tuttiResult_t tuttiMemAllocOn(tuttiComm_t comm, void** pointer, size_t bytes);

/* Copies bytes between any two of host memory and memory of the device of `comm`, ordered on
 * `stream` (null: done on return). */
TUTTI_EXPORT tuttiResult_t tuttiMemcpy(tuttiComm_t comm, void* destination, const void* source,
                                       size_t bytes, tuttiStream_t stream);

/* Announces a buffer that will be used often, so that peers may map or pin it once. `handle` may
 * become null where nothing is gained. The buffer stays allocated until deregistered. */
TUTTI_EXPORT tuttiResult_t tuttiCommRegister(tuttiComm_t comm, void* buffer, size_t bytes,
                                             void** handle);
/* A null handle is allowed. */
TUTTI_EXPORT tuttiResult_t tuttiCommDeregister(tuttiComm_t comm, void* handle);

/* Makes a stream on the device of `comm`. Owned by the caller; destroy it before or after comm. */
TUTTI_EXPORT tuttiResult_t tuttiStreamCreate(tuttiComm_t comm, tuttiStream_t* stream);
/* Blocks until everything enqueued so far is done. */
TUTTI_EXPORT tuttiResult_t tuttiStreamSynchronize(tuttiComm_t comm, tuttiStream_t stream);
/* *isDone = 1 if everything enqueued is done. Does not block. */
TUTTI_EXPORT tuttiResult_t tuttiStreamQuery(tuttiComm_t comm, tuttiStream_t stream, int* isDone);
/* Waits for the stream's work, then frees it. Null is allowed. */
TUTTI_EXPORT tuttiResult_t tuttiStreamDestroy(tuttiComm_t comm, tuttiStream_t stream);

/* ---- Reduction operators ------------------------------------------------------------------ */

/* An operator that multiplies this rank's contribution by *scalar (one element of `type`), then
 * sums. It belongs to `comm` and `type`; ranks may use different scalars. May be destroyed as soon
 * as the calls that use it were enqueued. */
TUTTI_EXPORT tuttiResult_t tuttiRedOpCreatePreMulSum(tuttiRedOp_t* op, void* scalar,
                                                     tuttiDataType_t type,
                                                     tuttiScalarResidence_t residence,
                                                     tuttiComm_t comm);
/* tuttiInvalidArgument: op is built in, or belongs to another communicator. */
TUTTI_EXPORT tuttiResult_t tuttiRedOpDestroy(tuttiRedOp_t op, tuttiComm_t comm);

/* ---- Collectives -------------------------------------------------------------------------- */

/* recv[i] on every rank = the reduction over ranks of send[i], i < count. In place: recv ==
 * send. */
TUTTI_EXPORT tuttiResult_t tuttiAllReduce(const void* send, void* recv, size_t count,
                                          tuttiDataType_t type, tuttiRedOp_t op, tuttiComm_t comm,
                                          tuttiStream_t stream);

/* As tuttiAllReduce, with the result on `root` only; recv may be null elsewhere. */
TUTTI_EXPORT tuttiResult_t tuttiReduce(const void* send, void* recv, size_t count,
                                       tuttiDataType_t type, tuttiRedOp_t op, int root,
                                       tuttiComm_t comm, tuttiStream_t stream);

/* recv on every rank = send on root; send may be null elsewhere. In place: recv == send. */
TUTTI_EXPORT tuttiResult_t tuttiBroadcast(const void* send, void* recv, size_t count,
                                          tuttiDataType_t type, int root, tuttiComm_t comm,
                                          tuttiStream_t stream);

/* tuttiBroadcast in place. */
TUTTI_EXPORT tuttiResult_t tuttiBcast(void* buffer, size_t count, tuttiDataType_t type, int root,
                                      tuttiComm_t comm, tuttiStream_t stream);

/* recv[r * sendCount + i] = send[i] of rank r. In place: send == recv + rank * sendCount. */
TUTTI_EXPORT tuttiResult_t tuttiAllGather(const void* send, void* recv, size_t sendCount,
                                          tuttiDataType_t type, tuttiComm_t comm,
                                          tuttiStream_t stream);

/* recv[i] on rank r = the reduction of send[r * recvCount + i]. In place: recv == send + rank *
 * recvCount. */
TUTTI_EXPORT tuttiResult_t tuttiReduceScatter(const void* send, void* recv, size_t recvCount,
                                              tuttiDataType_t type, tuttiRedOp_t op,
                                              tuttiComm_t comm, tuttiStream_t stream);

/* recv[r * count + i] on rank s = send[s * count + i] of rank r. In place: recv == send. */
TUTTI_EXPORT tuttiResult_t tuttiAllToAll(const void* send, void* recv, size_t count,
                                         tuttiDataType_t type, tuttiComm_t comm,
                                         tuttiStream_t stream);

/* On root, recv[r * count + i] = send[i] of rank r; recv may be null elsewhere. In place on root:
 * send == recv + root * count. */
TUTTI_EXPORT tuttiResult_t tuttiGather(const void* send, void* recv, size_t count,
                                       tuttiDataType_t type, int root, tuttiComm_t comm,
                                       tuttiStream_t stream);

/* recv[i] on rank r = send[r * count + i] of root; send may be null elsewhere. In place on root:
 * recv == send + root * count. */
TUTTI_EXPORT tuttiResult_t tuttiScatter(const void* send, void* recv, size_t count,
                                        tuttiDataType_t type, int root, tuttiComm_t comm,
                                        tuttiStream_t stream);

/* Sends to / receives from `peer`. Calls between one pair match in order, per direction, with the
 * same count and type. A pair that both sends and receives does so inside a group. peer may be the
 * caller itself inside a group. Blocks (null stream) until this side's buffer is free / full. */
TUTTI_EXPORT tuttiResult_t tuttiSend(const void* send, size_t count, tuttiDataType_t type, int peer,
                                     tuttiComm_t comm, tuttiStream_t stream);
TUTTI_EXPORT tuttiResult_t tuttiRecv(void* recv, size_t count, tuttiDataType_t type, int peer,
                                     tuttiComm_t comm, tuttiStream_t stream);

/* ---- Collectives with a count for each rank -----------------------------------------------
 * Counts and displacements are arrays of `size` elements in units of the data type, read before
 * the call returns. Displacements are from the start of the buffer; null means packed, in rank
 * order. Parts must not overlap. */

/* recv[displs[r] + i] = send[i] of rank r, i < recvCounts[r]; sendCount == recvCounts[rank]. Every
 * rank passes the same recvCounts (displs may differ). In place: send == recv + displs[rank]. */
TUTTI_EXPORT tuttiResult_t tuttiAllGatherV(const void* send, size_t sendCount, void* recv,
                                           const size_t* recvCounts, const size_t* displs,
                                           tuttiDataType_t type, tuttiComm_t comm,
                                           tuttiStream_t stream);

/* recv[i] on rank r = the reduction of send[displs[r] + i], i < recvCounts[r]. Every rank passes
 * the same recvCounts; displs may differ. In place: recv == send + displs[rank]. */
TUTTI_EXPORT tuttiResult_t tuttiReduceScatterV(const void* send, void* recv,
                                               const size_t* recvCounts, const size_t* displs,
                                               tuttiDataType_t type, tuttiRedOp_t op,
                                               tuttiComm_t comm, tuttiStream_t stream);

/* Rank s gets recv[recvDispls[r] + i] = send[sendDispls[s] + i] of rank r, i < recvCounts[r] on s,
 * which equals sendCounts[s] on r. Not in place. */
TUTTI_EXPORT tuttiResult_t tuttiAllToAllV(const void* send, const size_t* sendCounts,
                                          const size_t* sendDispls, void* recv,
                                          const size_t* recvCounts, const size_t* recvDispls,
                                          tuttiDataType_t type, tuttiComm_t comm,
                                          tuttiStream_t stream);

/* On root, recv[displs[r] + i] = send[i] of rank r, i < recvCounts[r]; recv, recvCounts and displs
 * are read on root only. In place on root: send == recv + displs[root]. */
TUTTI_EXPORT tuttiResult_t tuttiGatherV(const void* send, size_t sendCount, void* recv,
                                        const size_t* recvCounts, const size_t* displs,
                                        tuttiDataType_t type, int root, tuttiComm_t comm,
                                        tuttiStream_t stream);

/* recv[i] on rank r = send[displs[r] + i] of root, i < recvCount == sendCounts[r]; send, sendCounts
 * and displs are read on root only. In place on root: recv == send + displs[root]. */
TUTTI_EXPORT tuttiResult_t tuttiScatterV(const void* send, const size_t* sendCounts,
                                         const size_t* displs, void* recv, size_t recvCount,
                                         tuttiDataType_t type, int root, tuttiComm_t comm,
                                         tuttiStream_t stream);

/* ---- What the library found ---------------------------------------------------------------
 * The text is JSON; it is owned by the library and valid until the calling thread's next Tutti
 * call. */

/* {"version":..., "devices":[...], "transports":[...], "networks":[...] (those that the settings
 * allow, the most preferred first), "configuration":[{"name","value","origin","help"}...]}: what
 * this process could use. Makes no communicator. */
TUTTI_EXPORT tuttiResult_t tuttiDescribe(const char** json);

/* {"ranks":..., "hosts":..., "paths":..., "plans":[...], "memory":{...}, ...}: what `comm` uses. */
TUTTI_EXPORT tuttiResult_t tuttiCommDescribe(tuttiComm_t comm, const char** json);

#ifdef __cplusplus
}
#endif
