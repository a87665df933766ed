// Stable numbers of Tutti's failures, printed as TUTTI-E0101. Each has a line in docs/errors.md
// with its meaning, cause and remedy. A number is never reused or renumbered; append to your range:
// 100-199 bootstrap and init, 200-299 transports, 300-399 usage and arguments, 400-499 devices and
// memory, 500-599 tools.
#pragma once

namespace tutti::base {

enum ErrorId : int {
  kErrNone = 0,

  kErrNoInterface = 101,            // no network interface to listen on
  kErrUnreachable = 102,            // none of a rendezvous's addresses could be reached
  kErrBadUniqueId = 103,            // the bytes are no unique id, or of another protocol version
  kErrWrongSecret = 104,            // the other side does not know the secret
  kErrProtocolVersion = 105,        // ranks use different protocol versions of Tutti
  kErrSizeMismatch = 106,           // ranks disagree on the number of ranks
  kErrDuplicateRank = 107,          // two processes or threads claim the same rank
  kErrDuplicateDevice = 108,        // two ranks of one communicator use the same device
  kErrJoinTimeout = 109,            // some ranks did not join in time
  kErrJoinAborted = 110,            // joining was given up by another thread
  kErrLauncherMismatch = 111,       // the number of ranks does not fit the launcher's
  kErrLauncherContradiction = 112,  // the launcher's variables are incomplete or contradict
  kErrRendezvousLost = 113,         // the process that serves the rendezvous ended during init
  kErrBadAddress = 114,             // an address is not of the form host:port
  kErrSocket = 115,                 // the operating system refused a socket operation
  kErrPeerDied = 120,               // a rank's process ended or its connection broke
  kErrPeerSilent = 121,             // a rank gave no sign of life for the timeout
  kErrPeerAborted = 122,            // a rank called abort
  kErrPeerLeft = 123,               // a rank left in order while others still waited for it
  kErrCollectiveMismatch = 124,     // ranks called different collectives or with other arguments
  kErrCollectiveTimeout = 125,      // some ranks did not arrive at a collective in time
  kErrControlTampered = 126,        // a control message failed authentication
  kErrValueTooLarge = 127,          // a control value exceeds its limit
  kErrLibraryMismatch = 128,        // ranks use versions of Tutti that cannot work together
  kErrLaunchFile = 129,             // the launch's rendezvous file cannot be used
  kErrNoLaunchAddress = 130,        // nobody says where rank 0 is, or which launch this is
  kErrSettingMismatch = 131,        // a setting that must be alike on all ranks is not

  kErrShmTooSmall = 201,      // shared memory (/dev/shm) is too small
  kErrShmFailed = 202,        // a shared memory object could not be made or mapped
  kErrCmaNotPermitted = 203,  // reading a peer's memory is not permitted
  kErrNoTransport = 204,      // no transport connects two ranks
  kErrTransportFailed = 205,  // a data connection broke

  kErrInvalidArgument = 301,   // an argument is out of its range
  kErrUseAfterDestroy = 302,   // the communicator was destroyed or never made
  kErrUseAfterFinalize = 303,  // the communicator was finalized
  kErrGroupMisuse = 304,       // group start and end do not match, or a call is not allowed inside
  kErrUnsupported = 305,       // the combination is legal but not supported
  kErrUseAfterFailure = 306,   // the communicator failed or was aborted before
  kErrInternal = 307,          // a defect of Tutti
  kErrForked = 308,            // the communicator belongs to the parent process
  kErrTopologyFile = 309,      // a topology file cannot be read or does not make sense
  kErrTopology = 310,          // a topology is not one that can be planned for
  kErrScheduleFile = 311,      // a file with an algorithm cannot be read or is not right

  kErrOutOfMemory = 401,    // memory ran out
  kErrNoDevice = 402,       // no usable device
  kErrUnknownDevice = 403,  // no device of that name
  kErrDeviceFailed = 404,   // the device's runtime reported a failure

  kErrToolUsage = 501,      // a tool was called wrongly
  kErrWrongData = 502,      // a check found wrong data
  kErrBelowBandwidth = 503  // a result is below the bandwidth asked for
};

}  // namespace tutti::base
