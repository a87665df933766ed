// Who this process and its host are, as far as other processes need to know.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tutti::base {

// The kernel's host name, up to the first dot. For people; not unique.
std::string hostName();

// Equal in two processes exactly if they run under one kernel and in one network namespace, so that
// they may try shared memory and local sockets with each other: machine id or boot id, and the
// namespace's inode. TUTTI_HOSTID (alias NCCL_HOSTID) replaces it, to fake or to join hosts.
std::string hostIdentity();

// Equal in two processes exactly if they run under one kernel, and so may share its cores, also
// where they are different hosts to each other: containers, network namespaces.
std::string machineIdentity();

// The same as hostIdentity without TUTTI_HOSTID: decides which addresses are local.
std::string realHostIdentity();

// Inode of this process's pid namespace, 0 if /proc is not there. A pid of a peer means the same
// process here only if both have the same value.
uint64_t pidNamespace();

// When process `pid` started, in clock ticks after boot (field 22 of /proc/PID/stat); nothing if no
// such process exists or it is a zombie. A pid together with its start time is never reused.
std::optional<uint64_t> processStartTime(pid_t pid);

// Its parent; 0 if that is outside this pid namespace. Nothing where the start time is nothing.
std::optional<pid_t> parentProcess(pid_t pid);

}  // namespace tutti::base
