// Which of libfabric's providers is taken, of lists as they are seen on machines.
#include "transports/ofi/provider.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tutti::transports::ofi {
namespace {

const std::vector<std::string> kAddresses = {"10.1.0.7", "192.168.0.7", "127.0.0.1"};

// What libfabric 1.17 offers on a host with two interfaces and no adapter.
const std::vector<Offer> kPlain = {{"tcp;ofi_rxm", "192.168.0.7"},
                                   {"tcp;ofi_rxm", "10.1.0.7"},
                                   {"tcp;ofi_rxm", "127.0.0.1"},
                                   {"net", "192.168.0.7"},
                                   {"net", "10.1.0.7"},
                                   {"net;ofi_rxm", "10.1.0.7"},
                                   {"udp;ofi_rxd", "10.1.0.7"},
                                   {"shm", ""},
                                   {"sockets", "10.1.0.7"}};

std::string taken(const std::vector<Offer>& offers, const char* list,
                  const std::vector<std::string>& addresses = kAddresses) {
  const auto index = choose(offers, list, addresses);
  return index ? offers[*index].provider + " " + offers[*index].address : "none";
}

std::vector<Offer> with(std::vector<Offer> offers, const Offer& more) {
  offers.push_back(more);
  return offers;
}

TEST(OfiProvider, TakesTheInterfaceThatPeersAreToldFirst) {
  EXPECT_EQ(taken(kPlain, ""), "net 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "", {"192.168.0.7", "10.1.0.7"}), "net 192.168.0.7");
  EXPECT_EQ(taken(kPlain, "tcp", {"127.0.0.1"}), "tcp;ofi_rxm 127.0.0.1");
}

TEST(OfiProvider, TakesLibfabricsFirstWhereNoAddressIsKnown) {
  EXPECT_EQ(taken(kPlain, "", {}), "net 192.168.0.7");
}

TEST(OfiProvider, PrefersAdaptersToTcp) {
  EXPECT_EQ(taken(with(kPlain, {"efa", ""}), ""), "efa ");
  EXPECT_EQ(taken(with(kPlain, {"cxi", ""}), ""), "cxi ");
  EXPECT_EQ(taken(with(kPlain, {"verbs;ofi_rxm", "10.9.0.7"}), ""), "verbs;ofi_rxm 10.9.0.7");
  EXPECT_EQ(taken(with(with(kPlain, {"verbs;ofi_rxm", ""}), {"psm3", ""}), ""), "psm3 ");
  // Of adapters in several networks, the one whose address peers are told.
  const auto two = with(with(kPlain, {"verbs;ofi_rxm", "10.9.0.7"}), {"verbs;ofi_rxm", "10.1.0.7"});
  EXPECT_EQ(taken(two, ""), "verbs;ofi_rxm 10.1.0.7");
}

// From libfabric 1.18 on `tcp` is what `net` was before.
TEST(OfiProvider, PrefersTcpWithoutALayerAboveIt) {
  const std::vector<Offer> later = {{"tcp;ofi_rxm", "10.1.0.7"}, {"tcp", "10.1.0.7"}};
  EXPECT_EQ(taken(later, ""), "tcp 10.1.0.7");
  EXPECT_EQ(taken(later, "tcp"), "tcp 10.1.0.7");
  EXPECT_EQ(taken({{"tcp;ofi_rxm", "10.1.0.7"}, {"shm", ""}}, ""), "tcp;ofi_rxm 10.1.0.7");
}

TEST(OfiProvider, NeverTakesUnaskedWhatIsSlowOrStaysWithinTheHost) {
  const std::vector<Offer> offers = {{"udp;ofi_rxd", "10.1.0.7"},
                                     {"verbs;ofi_rxd", ""},
                                     {"sockets", "10.1.0.7"},
                                     {"shm", ""},
                                     {"sm2", ""},
                                     {"udp", ""}};
  EXPECT_EQ(taken(offers, ""), "none");
  EXPECT_EQ(taken(offers, "^tcp"), "none");
  EXPECT_EQ(taken(offers, "shm"), "shm ");
  EXPECT_EQ(taken(offers, "sockets"), "sockets 10.1.0.7");
  EXPECT_EQ(taken(offers, "udp;ofi_rxd"), "udp;ofi_rxd 10.1.0.7");
}

// Hardware that came after this list is better than none, but not known to beat TCP.
TEST(OfiProvider, TakesWhatItDoesNotKnowLast) {
  EXPECT_EQ(taken({{"newfabric", ""}}, ""), "newfabric ");
  EXPECT_EQ(taken({{"newfabric", ""}, {"tcp;ofi_rxm", "10.1.0.7"}}, ""), "tcp;ofi_rxm 10.1.0.7");
}

TEST(OfiProvider, TakesTheFirstOfAListThatIsThere) {
  EXPECT_EQ(taken(kPlain, "net"), "net 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "tcp"), "tcp;ofi_rxm 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "tcp;ofi_rxm"), "tcp;ofi_rxm 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "net;ofi_rxm"), "net;ofi_rxm 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "cxi,net,tcp"), "net 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "cxi"), "none");
  EXPECT_EQ(taken(kPlain, "^tcp"), "net 10.1.0.7");
  EXPECT_EQ(taken(kPlain, "^tcp,net"), "none");
}

TEST(OfiProvider, NamesEachProviderOnce) {
  EXPECT_EQ(namesOf(kPlain), "tcp;ofi_rxm, net, net;ofi_rxm, udp;ofi_rxd, shm, sockets");
  EXPECT_EQ(namesOf({}), "none");
}

TEST(OfiProvider, AsksByNameForOneNameOnly) {
  EXPECT_TRUE(isOneName("verbs;ofi_rxm"));
  for (const char* list : {"", "^tcp", "tcp,net"}) EXPECT_FALSE(isOneName(list)) << list;
}

TEST(OfiProvider, KnowsWhatStaysWithinAHost) {
  EXPECT_TRUE(staysWithinHost("shm"));
  EXPECT_TRUE(staysWithinHost("sm2"));
  EXPECT_FALSE(staysWithinHost("tcp;ofi_rxm"));
}

// Formats as providers give them: tags of 64, 63 and 48 bits.
TEST(OfiProvider, TagsFitTheFormatAndDifferWithTheCommunicator) {
  Cookie cookie;
  cookie.fill(std::byte{0xff});
  EXPECT_EQ(tagOf(cookie, 0xaaaaaaaaaaaaaaaa), ~uint64_t{0});
  EXPECT_EQ(tagOf(cookie, 0x5555555555555555), ~uint64_t{0} >> 1);
  EXPECT_EQ(tagOf(cookie, uint64_t{1} << 47), ~uint64_t{0} >> 16);
  EXPECT_EQ(tagOf(cookie, 0), 0u);
  Cookie other = cookie;
  other[2] = std::byte{0};
  EXPECT_NE(tagOf(cookie, uint64_t{1} << 47), tagOf(other, uint64_t{1} << 47));
}

}  // namespace
}  // namespace tutti::transports::ofi
