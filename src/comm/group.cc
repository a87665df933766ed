#include "src/comm/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "src/base/errors.h"

namespace tutti::comm {

using base::Code;
using base::Status;
using executor::Engine;

namespace {

struct Item {
  Handle* handle;
  Work work;
};

struct Group {
  int depth = 0;
  Status failure;
  std::vector<Item> items;
  std::vector<Handle*> joining;
};

thread_local Group group;

bool isPointToPoint(const Work& work) {
  return work.call.collective == ir::Collective::kSend ||
         work.call.collective == ir::Collective::kRecv;
}

// The messages of a collective come right after it.
bool comesFirst(const Item& item) {
  return !isPointToPoint(item.work) && !ir::isOfMessages(item.work.call.collective);
}

// Later work of `follower` waits for earlier work of `leader`.
Status followStream(device::StreamOrder& order, void* leader, void* follower) {
  struct Passing {
    device::StreamOrder* order;
    std::shared_ptr<std::atomic<uint32_t>> flag = std::make_shared<std::atomic<uint32_t>>(0);
  };
  auto passing = std::make_unique<Passing>(Passing{&order});
  const auto flag = passing->flag;
  const auto wake = [](void* context) {
    const std::unique_ptr<Passing> done(static_cast<Passing*>(context));
    done->order->notify(done->flag.get());
  };
  // First the hold: the leader may be idle, and pass on at once.
  TUTTI_RETURN_IF_ERROR(order.hold(follower, flag));
  const Status status = order.after(leader, flag.get(), wake, passing.get());
  if (status.isOk()) {
    static_cast<void>(passing.release());
  } else {
    flag->store(1, std::memory_order_release);
    order.notify(flag.get());
  }
  return status;
}

// A send to oneself and the receive it meets are a copy.
Status runSelfCopy(Communicator& communicator, const Work& send, const Work& receive) {
  const auto& from = send.call;
  const auto& to = receive.call;
  if (from.count != to.count || from.type != to.type) {
    return {Code::kInvalidUsage, base::kErrCollectiveMismatch,
            fmt::format("{} to itself meets {}; make them equal", ir::toString(from),
                        ir::toString(to))};
  }
  const size_t bytes = from.count * ir::sizeOf(from.type);
  void* stream = receive.stream != nullptr ? receive.stream : send.stream;
  auto& order = communicator.device().order();
  if (stream != nullptr) {
    const bool areTwo = send.stream != nullptr && send.stream != stream;
    if (areTwo) TUTTI_RETURN_IF_ERROR(followStream(order, send.stream, stream));
    TUTTI_RETURN_IF_ERROR(order.enqueueCopy(stream, receive.output, send.input, bytes));
    return areTwo ? followStream(order, stream, send.stream) : Status();
  }
  if (bytes > 0) std::memmove(receive.output, send.input, bytes);
  return {};
}

// Takes sends to oneself out of `items`, with their receives, in order.
Status runSelfCopies(std::vector<Item>& items) {
  const auto isSelf = [](const Item& item, ir::Collective collective) {
    auto communicator = item.handle->ready();
    return communicator.isOk() && item.work.call.collective == collective &&
           item.work.call.root == (*communicator)->rank();
  };
  for (size_t i = 0; i < items.size(); ++i) {
    const bool isSend = isSelf(items[i], ir::Collective::kSend);
    if (!isSend && !isSelf(items[i], ir::Collective::kRecv)) continue;
    const auto other = isSend ? ir::Collective::kRecv : ir::Collective::kSend;
    const auto match = std::find_if(
        items.begin() + static_cast<std::ptrdiff_t>(i) + 1, items.end(),
        [&](const Item& item) { return item.handle == items[i].handle && isSelf(item, other); });
    if (match == items.end()) {
      return {Code::kInvalidUsage, base::kErrGroupMisuse,
              "a send to oneself needs its receive in the same group, and the other way round"};
    }
    TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, items[i].handle->ready());
    TUTTI_RETURN_IF_ERROR(isSend ? runSelfCopy(*communicator, items[i].work, match->work)
                                 : runSelfCopy(*communicator, match->work, items[i].work));
    items.erase(match);
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
    --i;
  }
  return {};
}

// Starts everything, collectives before sends and receives, then waits for what blocks.
Status run(std::vector<Item>& items) {
  TUTTI_RETURN_IF_ERROR(runSelfCopies(items));
  std::stable_partition(items.begin(), items.end(), comesFirst);
  std::vector<Engine::Pending> pending;
  std::vector<Engine*> engines;  // of everything that was started
  std::vector<StreamHold> holds;
  Status first;
  bool isAsync = false;
  for (auto& item : items) {
    auto communicator = item.handle->ready();
    if (!communicator.isOk()) {
      first = communicator.status();
      break;
    }
    auto operation = (*communicator)->start(item.work, &holds);
    if (!operation.isOk()) {
      first = operation.status();
      break;
    }
    engines.push_back(&(*communicator)->engine());
    if (*operation != nullptr) {
      pending.push_back({&(*communicator)->engine(), *operation});
    } else {
      isAsync |= item.work.stream == nullptr;
    }
  }
  for (const auto& [order, stream, release] : holds) {
    const Status status = order->hold(stream, release);
    if (first.isOk()) first = status;
  }
  // What was started before a failure may wait for what was not: end it.
  if (!first.isOk()) {
    for (auto* engine : engines) engine->abort(first);
  }
  if (!pending.empty()) {
    const Status status = Engine::waitAll(pending);
    if (first.isOk()) first = status;
  }
  if (first.isOk() && isAsync) return {Code::kInProgress, 0, "operations are under way"};
  return first;
}

Status runGuarded(std::vector<Item>& items) {
  std::vector<Handle*> handles;
  for (const auto& item : items) {
    if (std::find(handles.begin(), handles.end(), item.handle) == handles.end()) {
      handles.push_back(item.handle);
    }
  }
  std::vector<std::unique_ptr<Handle::Call>> calls;
  calls.reserve(handles.size());
  for (auto* handle : handles) calls.push_back(std::make_unique<Handle::Call>(*handle));
  const Status status = run(items);
  for (auto* handle : handles) handle->remember(status);
  return status;
}

// The way of a single blocking collective or message: nothing is allocated.
Status runOne(Handle& handle, Work& work) {
  TUTTI_ASSIGN_OR_RETURN(Communicator * communicator, handle.ready());
  if (auto status = communicator->runAtOnce(work)) {
    if (!status->isOk()) [[unlikely]]
      handle.remember(*status);
    return *std::move(status);
  }
  auto operation = communicator->start(work);
  if (!operation.isOk()) {
    handle.remember(operation.status());
    return operation.status();
  }
  if (*operation == nullptr) {
    if (work.stream != nullptr) return {};
    return {Code::kInProgress, 0, "the operation is under way"};
  }
  const Status status = communicator->engine().wait(*operation);
  if (!status.isOk()) [[unlikely]]
    handle.remember(status);
  return status;
}

}  // namespace

void groupStart() { ++group.depth; }

bool isInGroup() { return group.depth > 0; }

Status latch(Status status) {
  const bool isFailure = !status.isOk() && status.code() != Code::kInProgress;
  if (group.depth > 0 && isFailure && group.failure.isOk()) group.failure = status;
  return status;
}

Status groupEnd() {
  if (group.depth == 0) {
    return {Code::kInvalidUsage, base::kErrGroupMisuse,
            "tuttiGroupEnd without tuttiGroupStart in this thread"};
  }
  if (--group.depth > 0) return {};
  std::vector<Item> items;
  items.swap(group.items);
  Status failure;
  std::swap(failure, group.failure);
  std::vector<Handle*> joining;
  joining.swap(group.joining);
  for (Handle* handle : joining) {
    if (!failure.isOk()) handle->cancelInit();  // it would wait for what is not coming
    const Status status = handle->awaitInit();
    if (failure.isOk()) failure = status;
  }
  if (!failure.isOk()) return failure;
  if (items.empty()) return {};
  return runGuarded(items);
}

void joinAtEnd(Handle& handle) { group.joining.push_back(&handle); }

Status submit(Handle& handle, Work&& work) {
  if (group.depth > 0) {
    group.items.push_back({&handle, std::move(work)});
    return {};
  }
  const auto isSelf = [&] {
    const auto communicator = handle.ready();
    return communicator.isOk() && (*communicator)->rank() == work.call.root;
  };
  if (isPointToPoint(work) && isSelf()) {
    return {Code::kInvalidUsage, base::kErrGroupMisuse,
            "a send to oneself needs its receive in the same group, and the other way round"};
  }
  return runOne(handle, work);
}

}  // namespace tutti::comm
