#include <gtest/gtest.h>

#include "src/device/template/device.h"
#include "src/device/template/links.h"
#include "tests/cts/device/conformance.h"

namespace tutti::device::skeleton {

cts::Conformance conformance();

namespace {

TEST(Template, IsNoDevice) {
  std::string reason;
  EXPECT_TRUE(backend()->probe(reason).empty());
  EXPECT_NE(reason.find("libtutti-example-vendor.so.1"), std::string::npos) << reason;
  EXPECT_FALSE(backend()->open(0).isOk());
}

TEST(Template, HasNoLinks) {
  std::string reason;
  EXPECT_EQ(linkProbe()->probe(reason), ir::DeviceLinks());
  EXPECT_EQ(reason, "no PCI device of this vendor (0xffff)");
}

TEST(Template, SaysWhatItLacks) {
  for (const cts::Unsupported& lacking : conformance().unsupported) {
    EXPECT_FALSE(lacking.why.empty());
  }
}

}  // namespace
}  // namespace tutti::device::skeleton
