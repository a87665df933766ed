#include "src/device/registry.h"

#include <gtest/gtest.h>

#include <array>

#include "src/base/errors.h"

namespace tutti::device {
namespace {

// A device that does nothing but have a name.
class FakeDevice final : public Device {
 public:
  explicit FakeDevice(Description description) : description_(std::move(description)) {}
  const Description& describe() const override { return description_; }
  Memory& memory() override { std::abort(); }
  WorkQueue& queue() override { std::abort(); }
  StreamOrder& order() override { std::abort(); }

 private:
  const Description description_;
};

// `count` devices "name:0" ...; opening number `broken` fails.
class FakeBackend final : public Backend {
 public:
  FakeBackend(std::string name, int count, std::string reason, int broken = -1)
      : name_(std::move(name)), count_(count), reason_(std::move(reason)), broken_(broken) {}

  std::string_view name() const override { return name_; }

  std::vector<Description> probe(std::string& reason) const override {
    reason = reason_;
    std::vector<Description> devices;
    for (int i = 0; i < count_; ++i) {
      devices.push_back(
          {.name = name_ + ":" + std::to_string(i), .model = "model of " + name_, .index = i});
    }
    return devices;
  }

  base::Result<std::shared_ptr<Device>> open(int index) const override {
    std::string reason;
    const auto devices = probe(reason);
    if (index < 0 || index >= count_ || index == broken_) {
      return base::Status(base::Code::kDeviceError, base::kErrDeviceFailed, "it does not answer");
    }
    return std::shared_ptr<Device>(
        std::make_shared<FakeDevice>(devices[static_cast<size_t>(index)]));
  }

 private:
  const std::string name_;
  const int count_;
  const std::string reason_;
  const int broken_;
};

class Registry : public ::testing::Test {
 protected:
  base::Result<std::shared_ptr<Device>> open(std::string_view name) {
    return openDevice(name, backends_);
  }
  void expectText(const base::Status& status, std::initializer_list<const char*> parts) {
    for (const char* part : parts) {
      EXPECT_NE(status.text().find(part), std::string_view::npos)
          << "\"" << part << "\" is not in: " << status.toString();
    }
  }

  const FakeBackend alpha_{"alpha", 2, "", 1};
  const FakeBackend beta_{"beta", 0, "libbeta.so.1 is not installed"};
  const std::array<const Backend*, 2> backends_ = {&alpha_, &beta_};
};

TEST_F(Registry, OpensByNameAndNumber) {
  for (const char* name : {"alpha", "alpha:0"}) {
    auto opened = open(name);
    ASSERT_TRUE(opened.isOk()) << opened.status().toString();
    EXPECT_EQ((*opened)->describe().name, "alpha:0");
  }
}

TEST_F(Registry, UnknownNameListsWhatExists) {
  const auto status = open("gamma").status();
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_EQ(status.errorId(), base::kErrUnknownDevice);
  expectText(status, {"\"gamma\"", "alpha:0 (model of alpha), alpha:1", "Not usable: beta",
                      "libbeta.so.1 is not installed"});
}

TEST_F(Registry, NumberOutOfRangeSaysHowMany) {
  const auto status = open("alpha:7").status();
  EXPECT_EQ(status.errorId(), base::kErrUnknownDevice);
  expectText(status, {"\"alpha:7\"", "alpha has 2 devices, counted from 0", "alpha:1"});
}

TEST_F(Registry, MalformedNumbers) {
  for (const char* name :
       {"alpha:", "alpha:x", "alpha:-1", "alpha:1x", "alpha:99999999999", ":0"}) {
    const auto opened = open(name);
    ASSERT_FALSE(opened.isOk()) << name;
    EXPECT_EQ(opened.status().errorId(), base::kErrUnknownDevice) << name;
  }
  EXPECT_EQ(open("").status().errorId(), base::kErrUnknownDevice);
}

TEST_F(Registry, UnusableBackendSaysWhy) {
  const auto status = open("beta").status();
  EXPECT_EQ(status.code(), base::Code::kDeviceError);
  EXPECT_EQ(status.errorId(), base::kErrNoDevice);
  expectText(status, {"\"beta\" cannot be used: libbeta.so.1 is not installed", "alpha:0"});
}

TEST_F(Registry, FailureToOpenIsTheDevicesOwn) {
  const auto status = open("alpha:1").status();
  EXPECT_EQ(status.errorId(), base::kErrDeviceFailed);
  expectText(status, {"opening device \"alpha:1\": it does not answer"});
}

TEST_F(Registry, NoBackendsAtAll) {
  const auto opened = openDevice("host", {});
  ASSERT_FALSE(opened.isOk());
  expectText(opened.status(), {"Devices here: none."});
}

}  // namespace
}  // namespace tutti::device
