// Trees by rule: of templates, and of plans for ranks that are all alike.
#pragma once

#include <vector>

namespace tutti::ir {

// One node's place in a tree over nodes 0 .. n-1.
struct TreeNode {
  int parent = -1;  // -1: the root
  std::vector<int> children;
};

// Binomial tree with root 0: the parent of v is v without its lowest set bit; children by growing
// distance. The subtree of v is [v, v + binomialSpan(v, size)).
TreeNode binomialNode(int size, int node);
int binomialParent(int node);  // -1 for the root
int binomialSpan(int size, int node);

// One of the two trees of a double binary tree: each node but one has at most two children, and a
// node that is inside one tree is a leaf of the other, so that two half messages use the whole of
// every node's bandwidth (Sanders, Speck, Traeff: "Two-tree algorithms for full bandwidth
// broadcast, reduction and scan", Parallel Computing 35, 2009). Depth <= log2(size) + 1.
TreeNode doubleTreeNode(int size, int tree, int node);
// The same over the nodes 1 .. size-1, with node 0 above both trees.
TreeNode rootedDoubleTreeNode(int size, int tree, int node);

}  // namespace tutti::ir
