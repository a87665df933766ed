// Which network devices UCX gets.
#include "transports/ucx/devices.h"

#include <gtest/gtest.h>

#include "src/base/errors.h"

namespace tutti::transports::ucx {
namespace {

const NetDevices kHost = {{"lo", "eth0", "eth1", "ib0"},
                          {{"mlx5_0", 1}, {"mlx5_0", 2}, {"mlx5_1", 1}, {"hfi1_0", 1}}};

std::string chosen(std::string_view interfaces, std::string_view ports) {
  const auto list = chooseDevices(kHost, interfaces, ports);
  return list.isOk() ? *list : list.status().toString();
}

TEST(NetDevices, WithoutListsUcxChooses) { EXPECT_EQ(chosen("", ""), ""); }

TEST(NetDevices, InterfacesByPrefixByNameAndAllBut) {
  const std::string ports = ",mlx5_0:1,mlx5_0:2,mlx5_1:1,hfi1_0:1";
  EXPECT_EQ(chosen("eth", ""), "eth0,eth1" + ports);
  EXPECT_EQ(chosen("eth1,ib", ""), "eth1,ib0" + ports);
  EXPECT_EQ(chosen("=eth", ""), ports.substr(1));
  EXPECT_EQ(chosen("=eth0", ""), "eth0" + ports);
  EXPECT_EQ(chosen("^lo,eth0", ""), "eth1,ib0" + ports);
  EXPECT_EQ(chosen("^=eth", ""), "lo,eth0,eth1,ib0" + ports);
}

TEST(NetDevices, PortsByPrefixByNameAndAllBut) {
  const std::string interfaces = "lo,eth0,eth1,ib0";
  EXPECT_EQ(chosen("", "mlx5"), interfaces + ",mlx5_0:1,mlx5_0:2,mlx5_1:1");
  EXPECT_EQ(chosen("", "mlx5_0:1,mlx5_1"), interfaces + ",mlx5_0:1,mlx5_1:1");
  EXPECT_EQ(chosen("", "mlx5:2"), interfaces + ",mlx5_0:2");
  EXPECT_EQ(chosen("", "=mlx5_0"), interfaces + ",mlx5_0:1,mlx5_0:2");
  EXPECT_EQ(chosen("", "=mlx5"), interfaces);
  EXPECT_EQ(chosen("", "=mlx5_0:2"), interfaces + ",mlx5_0:2");
  EXPECT_EQ(chosen("", "^mlx5_0:2,hfi"), interfaces + ",mlx5_0:1,mlx5_1:1");
  EXPECT_EQ(chosen("", "^=mlx5_1:1"), interfaces + ",mlx5_0:1,mlx5_0:2,hfi1_0:1");
  EXPECT_EQ(chosen("", "mlx5_0:x"), interfaces);
  EXPECT_EQ(chosen("eth1", "mlx5_1"), "eth1,mlx5_1:1");
}

TEST(NetDevices, ListsThatLeaveNothingSaySo) {
  const auto none = chooseDevices(kHost, "wlan", "efa");
  ASSERT_FALSE(none.isOk());
  EXPECT_EQ(none.status().errorId(), base::kErrNoInterface);
  for (const char* part : {"wlan", "efa", "eth1", "mlx5_0:2", "TUTTI_IB_HCA"}) {
    EXPECT_NE(none.status().text().find(part), std::string::npos) << part;
  }
}

TEST(NetDevices, ThisHostHasLoopback) {
  const auto list = chooseDevices(listDevices(), "=lo", "=none");
  ASSERT_TRUE(list.isOk()) << list.status().toString();
  EXPECT_EQ(*list, "lo");
}

}  // namespace
}  // namespace tutti::transports::ucx
