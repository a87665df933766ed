// Where things lie in a segment, and who may map it.
#include "transports/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "src/base/errors.h"

namespace tutti::transports {
namespace {

constexpr std::byte kToken[32] = {std::byte{1}, std::byte{2}, std::byte{3}};

std::unique_ptr<OwnSegment> makeSegment(int rank, int size) {
  auto segment = OwnSegment::create(rank, size, kToken);
  EXPECT_TRUE(segment.isOk()) << segment.status().toString();
  return segment.take();
}

// Every part of a segment, by its place.
std::map<size_t, size_t> partsOf(const SegmentView& view) {
  std::map<size_t, size_t> parts;
  const auto add = [&](const void* part, size_t bytes) {
    const auto offset = static_cast<size_t>(static_cast<const std::byte*>(part) - view.base);
    EXPECT_TRUE(parts.emplace(offset, bytes).second) << "two parts at " << offset;
  };
  add(&view.header(), sizeof(SegmentHeader));
  for (int peer = 0; peer < view.size; ++peer) {
    for (int channel = 0; channel < ir::Limits::kChannels; ++channel) {
      add(&view.ack(peer, channel), sizeof(FifoAck));
      for (int slot = 0; slot < ir::Limits::kFifoSlots; ++slot) {
        add(view.slot(peer, channel, static_cast<uint64_t>(slot)).head, sizeof(FifoSlot));
      }
    }
    for (int narrow = 0; narrow < ir::Limits::kNarrowChannels; ++narrow) {
      const int channel = ir::Limits::kChannels + narrow;
      add(&view.ack(peer, channel), sizeof(FifoAck));
      for (int slot = 0; slot < ir::Limits::kFifoSlots; ++slot) {
        add(view.slot(peer, channel, static_cast<uint64_t>(slot)).head, sizeof(SlotHead));
      }
    }
  }
  for (int operation = 0; operation < kBoardOps; ++operation) {
    for (int post = 0; post < ir::Limits::kPosts; ++post) {
      add(&view.post(static_cast<uint64_t>(operation), post), sizeof(Post));
    }
  }
  return parts;
}

TEST(SegmentLayout, PartsFillTheSegmentWithoutOverlap) {
  for (const int size : {1, 2, 5, 64}) {
    const SegmentView view{reinterpret_cast<std::byte*>(uintptr_t{1} << 30), size};
    size_t end = 0;
    for (const auto& [offset, bytes] : partsOf(view)) {
      EXPECT_EQ(offset, end) << "with " << size << " ranks";
      EXPECT_EQ(offset % kLine, 0u);
      end = offset + bytes;
    }
    EXPECT_EQ(end, SegmentView::bytesFor(size));
  }
}

TEST(SegmentLayout, PolledWordsHaveCacheLinesOfTheirOwn) {
  const SegmentView view{reinterpret_cast<std::byte*>(uintptr_t{1} << 30), 2};
  std::vector<const void*> words = {&view.header().bell,  &view.header().completedOps,
                                    &view.header().state, &view.ack(0, 0),
                                    &view.ack(0, 1),      &view.ack(1, 0)};
  std::vector<size_t> lines;
  for (const void* word : words) lines.push_back(reinterpret_cast<uintptr_t>(word) / kLine);
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(std::adjacent_find(lines.begin(), lines.end()), lines.end());
}

TEST(SegmentLayout, ShortPayloadsShareTheTagsLine) {
  FifoSlot slot;
  const auto* begin = reinterpret_cast<std::byte*>(&slot);
  EXPECT_EQ(slot.data(48), slot.inlinePayload);
  EXPECT_LE(slot.inlinePayload + FifoSlot::kInlineBytes, begin + kLine);
  EXPECT_EQ(slot.data(49), slot.payload);
  EXPECT_EQ(static_cast<size_t>(slot.payload - begin), kLine) << "long payloads start on a line";
}

TEST(SegmentLayout, SlotsAndPostsAreUsedAgainInTurn) {
  const SegmentView view{reinterpret_cast<std::byte*>(uintptr_t{1} << 30), 3};
  EXPECT_EQ(view.slot(1, 0, 2).head, view.slot(1, 0, 2 + ir::Limits::kFifoSlots).head);
  EXPECT_NE(view.slot(1, 0, 2).head, view.slot(1, 0, 3).head);
  EXPECT_EQ(&view.post(5, 1), &view.post(5 + kBoardOps, 1));
  EXPECT_NE(&view.post(5, 1), &view.post(6, 1));
}

TEST(SegmentLayout, NarrowChannelsAreColumnsOfTheFirstOnesSlots) {
  const SegmentView view{reinterpret_cast<std::byte*>(uintptr_t{1} << 30), 3};
  constexpr int kNarrow = ir::Limits::kChannels;
  for (const uint64_t message : {0, 3, 5}) {
    const SlotView wide = view.slot(1, 0, message);
    const SlotView narrow = view.slot(1, kNarrow + 7, message, 4096);
    EXPECT_EQ(narrow.payload, wide.payload + 4096);
    EXPECT_NE(narrow.head, wide.head);
    EXPECT_EQ(narrow.data(48), narrow.head->inlinePayload) << "short ones share nothing";
    EXPECT_EQ(narrow.data(49), narrow.payload);
  }
}

TEST(SegmentLayout, ATagTellsNumberAndSignature) {
  const uint64_t tag = makeTag(7, 0xabcdef0123456789u);
  EXPECT_EQ(tagNumber(tag), 7u);
  EXPECT_EQ(tag & 0xffffffffu, 0x23456789u);
  EXPECT_EQ(tagNumber(0), 0u) << "fresh memory holds no message";
}

TEST(OwnSegment, StartsEmptyAndNamesItsRank) {
  const auto segment = makeSegment(3, 5);
  const auto& header = segment->view().header();
  EXPECT_EQ(header.magic, kSegmentMagic);
  EXPECT_EQ(header.rank, 3);
  EXPECT_EQ(header.size, 5);
  EXPECT_EQ(std::memcmp(header.token, kToken, sizeof(kToken)), 0);
  EXPECT_EQ(header.completedOps.load(), 0u);
  EXPECT_EQ(header.state.load(), static_cast<uint32_t>(RankState::kRunning));
  EXPECT_EQ(segment->view().slot(4, 2, 3).head->tag.load(), 0u);
  EXPECT_EQ(segment->bytes(), SegmentView::bytesFor(5));
}

TEST(OwnSegment, TouchesFewPagesUntilUsed) {
  const auto segment = makeSegment(0, 32);
  struct stat info {};
  ASSERT_EQ(fstat(segment->share().fd, &info), 0);
  EXPECT_GT(segment->bytes(), size_t{20} << 20);
  EXPECT_LT(info.st_blocks * 512, 64 << 10) << "address space, not memory";
}

TEST(OwnSegment, LeavesNoFileBehind) {
  const auto segment = makeSegment(0, 2);
  char path[64];
  char target[128] = {};
  snprintf(path, sizeof(path), "/proc/self/fd/%d", segment->share().fd);
  ASSERT_GT(readlink(path, target, sizeof(target) - 1), 0);
  EXPECT_NE(strstr(target, "(deleted)"), nullptr) << target;
}

TEST(PeerMapping, SharesTheOwnersMemory) {
  const auto segment = makeSegment(0, 2);
  auto mapping = PeerMapping::open(segment->share());
  ASSERT_TRUE(mapping.isOk()) << mapping.status().toString();
  const SegmentView seen{mapping->base(), 2};
  EXPECT_NE(seen.base, segment->view().base);
  EXPECT_EQ(seen.header().rank, 0);
  seen.header().bell.count.store(42);
  EXPECT_EQ(segment->view().header().bell.count.load(), 42u);
}

TEST(PeerMapping, WorksFromAnotherProcess) {
  const auto segment = makeSegment(1, 2);
  const auto share = segment->share();
  const pid_t child = fork();
  if (child == 0) {
    auto mapping = PeerMapping::open(share);
    if (!mapping.isOk()) _exit(1);
    SegmentView{mapping->base(), 2}.header().completedOps.store(9);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(segment->view().header().completedOps.load(), 9u);
}

TEST(PeerMapping, RefusesAnotherFile) {
  const auto segment = makeSegment(0, 2);
  auto share = segment->share();
  share.inode += 1;
  const auto mapping = PeerMapping::open(share);
  ASSERT_FALSE(mapping.isOk());
  EXPECT_EQ(mapping.status().errorId(), base::kErrShmFailed);
  EXPECT_NE(mapping.status().text().find("another file"), std::string::npos);
}

// The descriptor was closed and its number given to something else before the peer opened it.
TEST(PeerMapping, RefusesADescriptorThatWasReused) {
  auto segment = makeSegment(0, 2);
  const auto share = segment->share();
  segment.reset();
  const int other = memfd_create("other", 0);
  ASSERT_EQ(dup2(other, share.fd), share.fd);
  ASSERT_EQ(ftruncate(share.fd, static_cast<off_t>(share.length)), 0);
  EXPECT_FALSE(PeerMapping::open(share).isOk());
  close(other);
  if (other != share.fd) close(share.fd);
}

TEST(PeerMapping, RefusesAFileThatIsTooShort) {
  const auto segment = makeSegment(0, 2);
  auto share = segment->share();
  share.length += 1;  // a store behind the end would be a SIGBUS
  EXPECT_FALSE(PeerMapping::open(share).isOk());
}

TEST(PeerMapping, SaysWhichProcessIsGone) {
  auto share = makeSegment(0, 2)->share();
  share.pid = 0x3fffffff;
  const auto mapping = PeerMapping::open(share);
  ASSERT_FALSE(mapping.isOk());
  EXPECT_NE(mapping.status().text().find("/proc/1073741823/fd/"), std::string::npos)
      << mapping.status().text();
}

TEST(PeerMapping, MovesItsMapping) {
  const auto segment = makeSegment(0, 2);
  auto first = PeerMapping::open(segment->share());
  ASSERT_TRUE(first.isOk());
  std::byte* base = first->base();
  PeerMapping second(first.take());
  EXPECT_EQ(second.base(), base);
  PeerMapping third;
  third = std::move(second);
  EXPECT_EQ(third.base(), base);
  EXPECT_EQ(SegmentView({third.base(), 2}).header().magic, kSegmentMagic);
}

}  // namespace
}  // namespace tutti::transports
