#!/usr/bin/env python3
"""The small checkers must catch what they are for: each function on planted text."""
import os
import tempfile
import unittest

import check_errors
import check_format
import check_headers
import check_readmes


class Errors(unittest.TestCase):
    CATALOGUE = ("enum ErrorId : int {\n  kErrNone = 0,\n  kErrA = 101,  // kErrOld = 9\n"
                 "  kErrB = 102,\n};")

    def test_catalogue(self):
        entries = check_errors.parse_catalogue(self.CATALOGUE)
        self.assertEqual(entries, [("kErrA", 101), ("kErrB", 102)])
        self.assertFalse(check_errors.check_catalogue(entries))
        self.assertTrue(check_errors.check_catalogue(entries + [("kErrC", 101)]))

    def test_document(self):
        entries = check_errors.parse_catalogue(self.CATALOGUE)
        good = "## TUTTI-E0101 a\nsee TUTTI-E0999\n| `TUTTI-E0102` | b |\n"
        self.assertFalse(check_errors.check_document(entries, good))
        for bad in ("## TUTTI-E0101\n", good + "- TUTTI-E0103 c\n", good + "## TUTTI-E0101 2\n"):
            self.assertEqual(len(check_errors.check_document(entries, bad)), 1, bad)

    def test_sources(self):
        entries = check_errors.parse_catalogue(self.CATALOGUE)
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(f"{root}/src")
            with open(f"{root}/src/a.cc", "w", encoding="utf-8") as file:
                file.write('// TUTTI-E0142\nf("TUTTI-E0777");\ng(Code::kTimeout, 5, "x");\n'
                           'g(Code::kTimeout, kErrA, "TUTTI-E0101");\n')
            problems, used = check_errors.check_sources(root, entries)
        self.assertEqual([p.split(":")[1] for p in problems], ["2", "3"])
        self.assertEqual(used, {"kErrA"})


class Readmes(unittest.TestCase):
    def test_folders(self):
        files = ["src/a/x.cc", "tests/unit/README.md", "tests/unit/plan/x.cc", "docs/a.md",
                 "tests/install/consumer/main.c", ".ci/x.py"]
        self.assertEqual(check_readmes.folders_with_code(files), ["src/a"])


class Headers(unittest.TestCase):
    def test_leading_includes(self):
        text = ('// A.\n#pragma once\n/* two\n lines */\n#include <vector>\n#include "src/a.h"  // x\n'
                'int a;\n#include <map>\n')
        self.assertEqual(check_headers.leading_includes(text), ["<vector>", "src/a.h"])
        maybe = '#pragma once\n#include <map>\n#if X\n#include <set>\n#endif\n#include <list>\n'
        self.assertEqual(check_headers.leading_includes(maybe), ["<map>"])

    def units(self, texts):
        closure = check_headers.closures(
            {path: check_headers.leading_includes(text) for path, text in texts.items()})
        return sorted(check_headers.units(texts, closure))

    def test_units(self):
        both = "#include <string>\n#include <vector>\n"
        texts = {"a.h": "int a;\n", "b.h": '#include "a.h"\n', "c.h": '#include "b.h"\n',
                 "d.h": '#include "a.h"\n', "e.h": both, "f.h": '#include "e.h"\n#include "a.h"\n'}
        units = self.units(texts)
        self.assertIn((("<string>", "<vector>"), ["e.h", "f.h"]), units)
        self.assertEqual(sorted(h for _, row in units for h in row), sorted(texts))
        self.assertEqual(len(units), 3)  # of a, b, c, d two rows
        before = {"a.h": 0, "b.h": 1, "c.h": 2, "d.h": 1}
        for prelude, row in units:
            if not prelude:
                self.assertEqual(row, sorted(row, key=before.get), row)
                self.assertFalse({"b.h", "d.h"} <= set(row), "neither includes the other")

    def test_cycle(self):
        texts = {"a.h": '#include "b.h"\n', "b.h": '#include "a.h"\n'}
        self.assertEqual(sorted(h for _, row in self.units(texts) for h in row), ["a.h", "b.h"])

    def test_digest(self):
        texts = {"a.h": "int a;\n", "b.h": '#include "a.h"\n'}
        closure = {"a.h": set(), "b.h": {"a.h"}}
        first = check_headers.digest_of(["b.h"], closure, texts, ["c++"])
        self.assertEqual(first, check_headers.digest_of(["b.h"], closure, dict(texts), ["c++"]))
        texts["a.h"] = "int b;\n"
        self.assertNotEqual(first, check_headers.digest_of(["b.h"], closure, texts, ["c++"]))


class Format(unittest.TestCase):
    def test_long_lines(self):
        with tempfile.TemporaryDirectory() as root:
            with open(f"{root}/a.cc", "w", encoding="utf-8") as file:
                file.write("x" * 100 + "\n" + "x" * 101 + "\n")
            self.assertEqual(len(check_format.long_lines(root, ["a.cc"])), 1)


if __name__ == "__main__":
    unittest.main()
