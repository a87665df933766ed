#include "src/ir/forest.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace tutti::ir {

ForestCut::ForestCut(const std::vector<Tree>& trees) {
  std::map<Rank, std::pair<int64_t, int>> given;  // weight and number of the root's trees so far
  std::vector<int64_t> begins;
  std::vector<std::tuple<int, Rank, size_t>> turns;
  for (const Tree& tree : trees) {
    auto& [weight, count] = given[tree.root];
    turns.emplace_back(count++, tree.root, begins.size());
    begins.push_back(weight);
    weight += tree.weight;
  }
  std::vector<int64_t> cuts = begins;
  cuts.push_back(given.begin()->second.first);
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const auto indexOf = [&](int64_t cut) {
    const auto at = std::lower_bound(cuts.begin(), cuts.end(), cut);
    return static_cast<int32_t>(at - cuts.begin());
  };
  for (size_t at = 1; at < cuts.size(); ++at) {
    weights.push_back(static_cast<int32_t>(cuts[at] - cuts[at - 1]));
  }
  for (size_t tree = 0; tree < trees.size(); ++tree) {
    const int32_t slice = indexOf(begins[tree]);
    runs.push_back({slice, indexOf(begins[tree] + trees[tree].weight) - slice});
  }
  std::sort(turns.begin(), turns.end());
  for (const auto& [turn, root, tree] : turns) order.push_back(tree);
}

}  // namespace tutti::ir
