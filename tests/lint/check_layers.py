#!/usr/bin/env python3
"""Enforces layers.txt: includes, cycles, vendor words, getenv.

    check_layers.py [--root DIR]    check a tree
    check_layers.py --self-test     plant breaches in a scratch tree; each must be caught
    check_layers.py --graph         print the layers' edges as they are (Graphviz)
"""
import argparse
import fnmatch
import os
import re
import sys
import tempfile

import lint_files

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
GETENV = re.compile(r"\b(?:secure_)?getenv\s*\(|\benviron\b")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+")


class Table:
    """layers.txt, parsed."""

    def __init__(self, text):
        self.allowed = {}  # pattern -> set of layers, or {"*"}
        self.file_rules = {}  # base name -> set of layers
        self.lists = {"getenv": [], "vendor-words": [], "vendor-words-in": [],
                      "vendor-words-not-in": [], "relative-includes": []}
        for number, line in enumerate(text.splitlines(), 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            left, colon, right = line.partition(":")
            if not colon:
                raise ValueError(f"layers.txt:{number}: no colon in \"{line}\"")
            values = [v for v in right.split() if v != "-"]
            if left.startswith("@file "):
                self.file_rules[left[6:].strip()] = set(values)
            elif left.startswith("@"):
                if left[1:] not in self.lists:
                    raise ValueError(f"layers.txt:{number}: unknown directive {left}")
                self.lists[left[1:]] += values
            else:
                self.allowed[left.strip()] = set(values)

    def layer_of(self, path):
        """The layer of a file, or None where the table has none: (name, pattern)."""
        parts = os.path.dirname(path).split("/")
        for depth in range(len(parts), 0, -1):
            folder = "/".join(parts[:depth])
            if folder in self.allowed:
                return folder, folder
            pattern = "/".join(parts[:depth - 1] + ["*"])
            if depth > 1 and pattern in self.allowed:
                return folder, pattern
        return None

    def may_include(self, source_path, source, target):
        rule = self.file_rules.get(os.path.basename(source_path))
        allowed = self.allowed[source[1]] if rule is None else rule
        return target[0] == source[0] or "*" in allowed or bool({target[0], target[1]} & allowed)


def under(path, places):
    """Is the path one of the places, or inside one? A place may hold * and ?."""
    parts = path.split("/")
    prefixes = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(prefix, place) for place in places for prefix in prefixes
               if prefix.count("/") == place.count("/"))


def find_cycle(graph):
    """One cycle of a graph {node: set(nodes)} as a list, or None. Iterative depth-first search."""
    done, on_path = set(), []
    for start in sorted(graph):
        stack = [(start, None)]
        while stack:
            node, children = stack.pop()
            if children is None:
                if node in done:
                    continue
                if node in on_path:
                    return on_path[on_path.index(node):] + [node]
                on_path.append(node)
                children = iter(sorted(graph.get(node, ())))
            child = next(children, None)
            if child is None:
                done.add(node)
                on_path.pop()
            else:
                stack += [(node, children), (child, None)]
    return None


class Checker:
    def __init__(self, root, table):
        self.root, self.table = root, table
        self.files = [f for f in lint_files.cxx_files(root)]
        self.known = set(self.files)
        self.top_folders = {p.split("/")[0] for p in table.allowed}
        self.problems, self.edges, self.includes = [], {}, {}

    def resolve(self, path, name):
        """The repository file that an include names, or None for one from outside."""
        if name in self.known:
            return name
        if "include/" + name in self.known:
            return "include/" + name
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if beside in self.known:
            return beside
        return None

    def check_includes(self, path, text):
        source = self.table.layer_of(path)
        if source is None:
            self.report(path, 1, "no line of layers.txt covers this folder")
            return
        for match in INCLUDE.finditer(text):
            line, name = text.count("\n", 0, match.start()) + 1, match.group(2)
            target_path = self.resolve(path, name)
            if target_path is None:
                if match.group(1) == '"' and name.split("/")[0] in self.top_folders - {"include"}:
                    self.report(path, line, f"includes \"{name}\", which does not exist")
                continue
            if target_path not in (name, "include/" + name) and not under(
                    path, self.table.lists["relative-includes"]):
                self.report(path, line, f"write \"{target_path}\": paths start at the repository")
            if match.group(1) == "<" and not target_path.startswith("include/"):
                self.report(path, line, f"<{name}> is ours: write it with quotes")
            self.includes.setdefault(path, set()).add(target_path)
            self.check_edge(path, line, source, target_path)

    def check_edge(self, path, line, source, target_path):
        target = self.table.layer_of(target_path)
        if target is None:
            return
        if not self.table.may_include(path, source, target):
            what = "a sibling, " if source[1] == target[1] else ""
            text = f"{source[0]} may not include {what}{target[0]} ({target_path})"
            self.report(path, line, text)
        elif os.path.basename(path) not in self.table.file_rules and source[0] != target[0]:
            self.edges.setdefault(source[0], set()).add(target[0])

    def check_words(self, path, text):
        if under(path, self.table.lists["vendor-words-in"]) and not under(
                path, self.table.lists["vendor-words-not-in"]):
            return
        words = set(self.table.lists["vendor-words"])
        for number, line in enumerate(text.splitlines(), 1):
            pieces = {p.lower() for p in WORD.findall(line)}
            pieces |= {p.lower() for p in re.findall(r"[A-Za-z]+", line)}
            for word in sorted(pieces & words):
                self.report(path, number, f"vendor word \"{word}\" outside its backend")

    def check_getenv(self, path, text):
        if under(path, self.table.lists["getenv"]):
            return
        for number, line in enumerate(text.splitlines(), 1):
            if GETENV.search(line.split("//", 1)[0]):
                self.report(path, number, "reads the environment: only src/base/config.cc may")

    def check_cycles(self):
        for what, graph in (("files", self.includes), ("layers", self.edges)):
            cycle = find_cycle(graph)
            if cycle:
                self.problems.append(f"{cycle[0]}:1: cycle of {what}: " + " -> ".join(cycle))
        rules = self.table.allowed
        table = {p: {q for q in a if q in rules} for p, a in rules.items()}
        cycle = find_cycle(table)
        if cycle:
            self.problems.append("layers.txt:1: the table has a cycle: " + " -> ".join(cycle))

    def report(self, path, line, text):
        self.problems.append(f"{path}:{line}: {text}")

    def run(self):
        for path in self.files:
            text = lint_files.read(self.root, path)
            self.check_includes(path, text)
            self.check_words(path, text)
            self.check_getenv(path, text)
        self.check_cycles()
        return self.problems


# Each case: what it shows, files of a scratch tree, and a piece of the one expected message (None:
# no message may come).
PLANTED = [
    ("what the table allows", {
        "src/plan/a.h": '#include "topology/graph.h"\n#include <vector>\n#include "fmt/core.h"\n',
        "topology/graph.h": '#include "src/ir/x.h"\n', "src/ir/x.h": "", "tests/unit/t.cc":
        '#include "src/plan/a.h"\n#include "src/device/host/d.h"\n', "src/device/host/d.h":
        "// a ship on a chip: the relationship is fine\n"}, None),
    ("the public header from a layer that may see it",
     {"src/api/a.cc": '#include "tutti/tutti.h"\n', "include/tutti/tutti.h": ""}, None),
    ("the public header from a layer that may not",
     {"src/plan/a.cc": '#include <tutti/tutti.h>\n', "include/tutti/tutti.h": ""},
     "src/plan may not include include"),
    ("upwards", {"src/ir/x.h": '#include "src/plan/a.h"\n', "src/plan/a.h": ""},
     "src/ir may not include src/plan"),
    ("a core room that includes one backend",
     {"src/comm/a.cc": '#include "src/device/host/d.h"\n', "src/device/host/d.h": ""},
     "src/comm may not include src/device/host"),
    ("siblings", {"transports/shm/a.h": '#include "transports/inproc/b.h"\n',
                  "transports/inproc/b.h": ""}, "sibling"),
    ("perf beyond the public API", {"perf/a.cc": '#include "src/base/b.h"\n', "src/base/b.h": ""},
     "perf may not include src/base"),
    ("a relative include", {"src/plan/a.cc": '#include "b.h"\n', "src/plan/b.h": ""},
     "paths start at the repository"),
    ("a relative include where it is allowed",
     {"perf/versus/a.c": '#include "b.h"\n', "perf/versus/b.h": ""}, None),
    ("an include that evades the check by angle brackets",
     {"src/plan/a.cc": '#include <src/plan/b.h>\n', "src/plan/b.h": ""}, "with quotes"),
    ("an include of nothing", {"src/plan/a.cc": '#include "src/plan/gone.h"\n'}, "does not exist"),
    ("a cycle of headers", {"src/plan/a.h": '#include "src/plan/b.h"\n',
                            "src/plan/b.h": '#include "src/plan/a.h"\n'}, "cycle of files"),
    ("a folder without a layer", {"src/misc/a.cc": ""}, "no line of layers.txt"),
    ("a vendor word in the core", {"src/comm/a.cc": "int cudaStream = 0;\n"}, '"cuda"'),
    ("a vendor word in a constant", {"src/plan/a.cc": "// as NVLINK_BW says\n"}, '"nvlink"'),
    ("a vendor word in the host backend", {"src/device/host/a.cc": "// hip\n"}, '"hip"'),
    ("a vendor word in its own folder", {"src/device/cuda/a.cc": "int cudaFree;\n"}, None),
    ("a vendor word in the topology schema", {"topology/nccl_xml.cc": "// <nvlink/>\n"}, None),
    ("getenv", {"src/comm/a.cc": 'auto x = std::getenv("A");\n'}, "reads the environment"),
    ("getenv where it belongs", {"src/base/config.cc": 'auto x = std::getenv("A");\n'}, None),
    ("a conformance hook", {"transports/shm/cts.cc": '#include "tests/cts/c.h"\n',
                            "tests/cts/c.h": ""}, None),
]


def self_test(table):
    failures = 0
    for name, files, expected in PLANTED:
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
                with open(f"{root}/{path}", "w", encoding="utf-8") as file:
                    file.write(text)
            problems = Checker(root, table).run()
        good = not problems if expected is None else (
            len(problems) == 1 and expected in problems[0])
        failures += not good
        print(("ok      " if good else "FAILED  ") + name + ("" if good else f": {problems}"))
    looped = Table("a: b\nb: a\n")
    with tempfile.TemporaryDirectory() as root:
        good = any("table has a cycle" in p for p in Checker(root, looped).run())
    print(("ok      " if good else "FAILED  ") + "a cycle in the table itself")
    failures += not good
    print(f"check_layers self-test: {len(PLANTED) + 1} cases, {failures} failed")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=lint_files.repository())
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--graph", action="store_true")
    arguments = parser.parse_args()
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "layers.txt"), encoding="utf-8") as file:
        table = Table(file.read())
    if arguments.self_test:
        sys.exit(self_test(table))
    checker = Checker(arguments.root, table)
    problems = checker.run()
    if arguments.graph:
        print("digraph layers {")
        for source in sorted(checker.edges):
            for target in sorted(checker.edges[source]):
                print(f'  "{source}" -> "{target}";')
        print("}")
        return
    lint_files.finish("check_layers", problems, f"{len(checker.files)} files")


if __name__ == "__main__":
    main()
