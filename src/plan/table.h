// Which algorithm a collective takes on a known fabric, by the length of the call.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "src/base/status.h"
#include "src/ir/call.h"
#include "src/ir/plan.h"
#include "src/ir/world.h"
#include "src/plan/fabric.h"
#include "src/plan/plan.h"

namespace tutti::plan {

// Of the collectives that have several ways over a fabric: all_reduce, reduce, broadcast,
// all_gather and reduce_scatter. The others go by plan() whatever joins the ranks.
bool hasTable(ir::Collective collective);

// A value; the same on every rank: the choice is one of whole nanoseconds, counted in integers.
//
// What a file says of a fabric is taken for true: wherever messages pass, the candidates of
// planFabric compete, each at the time that it takes on the fabric. Posts on a board take no link.
// So calls that fit one, among ranks that are all mapped, stay with plan() and its cost model.
class DecisionTable {
 public:
  struct Row {
    uint64_t bytes = 0;  // calls of so many bytes (ir::planBytes) up to the next row's
    std::string algorithm;
    int64_t ns = 0;          // predicted for `bytes`
    bool isByWorld = false;  // plan() chooses; else the fabric's candidate is meant
    bool operator==(const Row&) const = default;
  };

  // `made` is for as many ranks as `world` has (its bytes do not matter), and only those of its
  // candidates count that these ranks can use (plan::candidates). O(candidates x sizes).
  static base::Result<DecisionTable> make(const ir::World& world, FabricPlan made);

  // Powers of two from 8 B to 4 GiB.
  const std::vector<Row>& rows() const { return rows_; }
  // The last that is not above `bytes`, else the first.
  const Row& rowFor(uint64_t bytes) const;
  const FabricPlan& made() const { return made_; }
  // 64 bits of what decides, the same on every machine.
  uint64_t digest() const;

  // The plan of a call of the table's collective and root, in chunks that fit the FIFOs' slots.
  // Where `options` names an algorithm that is no candidate here, and for whatever the table leaves
  // to it, that is plan()'s. Fails where plan() does.
  base::Result<ir::Plan> plan(const ir::World& world, const ir::Call& call,
                              const Options& options) const;

  bool operator==(const DecisionTable&) const = default;

 private:
  explicit DecisionTable(FabricPlan made) : made_(std::move(made)) {}
  const Candidate* find(std::string_view algorithm) const;
  base::Result<ir::Plan> fromFabric(const Candidate& candidate, const ir::World& world,
                                    const ir::Call& call, Options options) const;

  FabricPlan made_;
  std::vector<Row> rows_;
};

}  // namespace tutti::plan
