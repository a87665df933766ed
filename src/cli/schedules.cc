#include "src/cli/schedules.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "src/base/errors.h"
#include "src/cli/text.h"
#include "src/plan/planned.h"
#include "src/schedule/lower.h"

namespace tutti::cli {

base::Status usageError(std::string text) {
  return {base::Code::kInvalidUsage, base::kErrToolUsage, std::move(text)};
}

base::Result<ir::Call> callOf(const PlanQuestion& question, int ranks) {
  ir::Call call;
  call.collective = question.demand.collective;
  call.type = ir::DataType::kUint8;
  call.root = question.demand.root;
  call.count = 1;
  const uint64_t least = ir::planBytes(call, ranks);
  call.count = question.bytes / least;
  if (call.count > 0) return call;
  return usageError(fmt::format("--bytes {}: {} among {} takes at least {} B", question.bytes,
                                ir::name(call.collective), countOf(ranks, "rank"), least));
}

base::Result<std::vector<ir::Schedule>> lowerAll(const ir::Plan& plan, int ranks) {
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < ranks; ++rank) {
    TUTTI_ASSIGN_OR_RETURN(ir::Schedule schedule, schedule::lower(plan, ranks, rank));
    schedules.push_back(std::move(schedule));
  }
  return schedules;
}

base::Result<std::vector<ir::Schedule>> chosenSchedules(const plan::FabricPlan& made) {
  const std::string& algorithm = made.candidates.front().algorithm;
  TUTTI_ASSIGN_OR_RETURN(const plan::Planned planned, plan::planned(made, algorithm, made.bytes));
  return lowerAll(planned.plan, made.ranks);
}

base::Status writeText(const std::string& path, std::string_view text) {
  if (path == "-") {
    fmt::print("{}", text);  // main looks whether it got there
    return {};
  }
  const auto failed = [&path] {
    return usageError(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  };
  FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return failed();
  const bool isWritten = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const base::Status status = isWritten ? base::Status() : failed();
  if (std::fclose(file) != 0 && isWritten) return failed();
  return status;
}

}  // namespace tutti::cli
