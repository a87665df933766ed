// Which of libfabric's providers, on which interface; and what its tags are. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transports/wire.h"

namespace tutti::transports::ofi {

// One of the ways that libfabric offers.
struct Offer {
  std::string provider;  // "verbs;ofi_rxm": the layers, lowest first
  std::string address;   // this host's there, numeric; empty where it is not of IP
};

// Which of `offers` to take; nothing where none is fit. `list` (TUTTI_OFI_PROVIDER): "a,b", only
// these, of which the first that is there; "^a,b", all but these; empty: the fastest kind of
// network, and nothing that stays within a host or is slow beyond use. A name means a provider, or
// all that lie on it ("tcp": also "tcp;ofi_rxm"). Of one provider the interface with the earliest
// of `addresses` is taken (best first), else libfabric's first.
std::optional<size_t> choose(std::span<const Offer> offers, std::string_view list,
                             std::span<const std::string> addresses);

// Is the list one name and nothing else?
bool isOneName(std::string_view list);

// The providers' names, each once, for people.
std::string namesOf(std::span<const Offer> offers);

// Is it made for networks that move data without the kernel (RDMA)?
bool isFast(std::string_view provider);

// Does it connect only processes of one kernel?
bool staysWithinHost(std::string_view provider);

// The tag of all messages of a communicator. `format`: fi_ep_attr::mem_tag_format, whose highest
// bit that is set is the highest of a tag.
uint64_t tagOf(const Cookie& cookie, uint64_t format);

}  // namespace tutti::transports::ofi
