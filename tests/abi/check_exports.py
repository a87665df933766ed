#!/usr/bin/env python3
"""Checks that a shared library exports the functions its header declares, and nothing else.

    check_exports.py --library libtutti.so include/tutti/tutti.h

Also checks that every export carries the version of the library's version script, and that no
declaration lacks TUTTI_EXPORT. Exit code 1 and a list of what is wrong, or 0.
"""
import argparse
import re
import subprocess
import sys

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
EXPORTED = re.compile(r"TUTTI_EXPORT\s[^;{]*?\b(tutti[A-Za-z0-9]*)\s*\(")
DECLARED = re.compile(r"^(?:TUTTI_EXPORT\s+)?[A-Za-z_][\w\s*]*?\b(tutti[A-Z][A-Za-z0-9]*)\s*\(",
                      re.MULTILINE)
# What the linker itself adds.
OF_THE_LINKER = {"_init", "_fini", "__bss_start", "_edata", "_end"}


def declared(paths):
    exported, all_declared = set(), set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = COMMENT.sub(" ", file.read())
        exported |= set(EXPORTED.findall(text))
        all_declared |= set(DECLARED.findall(text))
    return exported, all_declared


def exports(nm, library):
    """{name: version} of the defined dynamic symbols."""
    output = subprocess.run([nm, "-D", "--defined-only", "--with-symbol-versions", library],
                            check=True, capture_output=True, text=True).stdout
    found = {}
    for line in output.splitlines():
        fields = line.split()
        kind, name = fields[-2], fields[-1]
        if kind == "A":  # the name of the version itself
            continue
        name, _, version = name.partition("@")
        found[name] = version.lstrip("@")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--library", required=True)
    parser.add_argument("headers", nargs="+")
    arguments = parser.parse_args()
    expected, all_declared = declared(arguments.headers)
    found = exports(arguments.nm, arguments.library)
    names = set(found) - OF_THE_LINKER
    problems = [f"declared without TUTTI_EXPORT: {name}" for name in all_declared - expected]
    problems += [f"declared but not exported: {name}" for name in expected - names]
    problems += [f"exported but not declared: {name}" for name in names - expected]
    problems += [f"exported without a version: {name}" for name in names & expected
                 if not found[name]]
    for problem in sorted(problems):
        print(f"{arguments.library}: {problem}")
    if not expected:
        print("no declaration found: the header or this checker is wrong")
        return 1
    if not problems:
        print(f"{len(expected)} functions declared and exported")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
