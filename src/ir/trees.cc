#include "src/ir/trees.h"

#include <algorithm>
#include <functional>

namespace tutti::ir {
namespace {

int lowestBit(int value) { return value & -value; }

// A binary search tree over 1 .. size-1 with node 0 above it: odd nodes are leaves.
TreeNode binaryNode(int size, int node) {
  TreeNode result;
  int bit = lowestBit(node);
  if (node == 0) {
    for (bit = 1; bit < size; bit *= 2) {
    }
    if (size > 1) result.children.push_back(bit / 2);
    return result;
  }
  const int outer = (node ^ bit) | (bit * 2);
  result.parent = outer < size ? outer : node ^ bit;
  if (bit > 1) result.children.push_back(node - bit / 2);
  for (int low = bit / 2; low > 0; low /= 2) {
    if (node + low >= size) continue;
    result.children.push_back(node + low);
    break;
  }
  return result;
}

TreeNode renamed(TreeNode node, const std::function<int(int)>& rename) {
  if (node.parent >= 0) node.parent = rename(node.parent);
  std::transform(node.children.begin(), node.children.end(), node.children.begin(), rename);
  return node;
}

}  // namespace

TreeNode binomialNode(int size, int node) {
  TreeNode result;
  const int limit = node == 0 ? size : lowestBit(node);
  result.parent = binomialParent(node);
  for (int bit = 1; bit < limit && node + bit < size; bit *= 2) {
    result.children.push_back(node + bit);
  }
  return result;
}

int binomialParent(int node) { return node == 0 ? -1 : node - lowestBit(node); }

int binomialSpan(int size, int node) {
  return node == 0 ? size : std::min(lowestBit(node), size - node);
}

TreeNode doubleTreeNode(int size, int tree, int node) {
  if (tree == 0) return binaryNode(size, node);
  // The second tree is the first one mirrored (even size) or shifted by one (odd size).
  if (size % 2 == 0) {
    const auto mirror = [size](int other) { return size - 1 - other; };
    return renamed(binaryNode(size, mirror(node)), mirror);
  }
  const auto forward = [size](int other) { return (other + 1) % size; };
  return renamed(binaryNode(size, (node + size - 1) % size), forward);
}

TreeNode rootedDoubleTreeNode(int size, int tree, int node) {
  const int others = size - 1;
  if (node == 0) {
    // The top of the second tree is where mirroring or shifting takes node 0.
    const int top = tree == 0 ? 0 : (others % 2 == 0 ? others - 1 : 1 % others);
    return {-1, {top + 1}};
  }
  TreeNode result =
      renamed(doubleTreeNode(others, tree, node - 1), [](int other) { return other + 1; });
  if (result.parent < 0) result.parent = 0;
  return result;
}

}  // namespace tutti::ir
