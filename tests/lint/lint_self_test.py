#!/usr/bin/env python3
"""The small checkers must catch what they are for: each function on planted text."""
import os
import tempfile
import unittest

import check_errors
import check_format
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


class Format(unittest.TestCase):
    def test_long_lines(self):
        with tempfile.TemporaryDirectory() as root:
            with open(f"{root}/a.cc", "w", encoding="utf-8") as file:
                file.write("x" * 100 + "\n" + "x" * 101 + "\n")
            self.assertEqual(len(check_format.long_lines(root, ["a.cc"])), 1)


if __name__ == "__main__":
    unittest.main()
