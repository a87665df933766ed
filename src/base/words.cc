#include "src/base/words.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace tutti::base {
namespace {

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearestWord(std::string_view word, std::span<const std::string_view> known) {
  constexpr size_t kLongest = 100;  // nobody's word; distances take the product of both lengths
  std::string_view nearest;
  if (word.size() > kLongest) return nearest;
  size_t best = std::min(std::max<size_t>(2, word.size() / 3), (word.size() + 1) / 2) + 1;
  for (const std::string_view each : known) {
    const bool isShort = word.size() > 1 && each.substr(0, word.size()) == word;
    const size_t distance = isShort ? 0 : editDistance(word, each.substr(0, kLongest));
    if (distance < best) {
      best = distance;
      nearest = each;
    }
  }
  return nearest;
}

}  // namespace tutti::base
