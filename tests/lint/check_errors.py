#!/usr/bin/env python3
"""src/base/errors.h (enum ErrorId) and docs/errors.md say the same: every number has its line
"TUTTI-E0101", every line its number, and sources name errors by their constant."""
import re

import lint_files

CATALOGUE, DOCUMENT = "src/base/errors.h", "docs/errors.md"
ENUM = re.compile(r"enum\s+(?:class\s+)?ErrorId\b[^{]*\{(.*?)\};", re.S)
ENTRY = re.compile(r"^\s*(kErr\w+)\s*=\s*(\d+)", re.M)
ID = re.compile(r"TUTTI-E(\d+)")
# A heading, a table row, a list item or a bold word that starts a line is where an id is explained.
EXPLAINED = re.compile(r"^[#|*\-\s`]*TUTTI-E(\d{4})\b", re.M)
RAW = re.compile(r"\bCode::k\w+\s*,\s*([1-9]\d*)\s*,")


def parse_catalogue(text):
    """(name, number) pairs in order; line comments are dropped first."""
    text = re.sub(r"//[^\n]*", "", text)
    found = ENUM.search(text)
    if not found:
        return []
    return [(n, int(v)) for n, v in ENTRY.findall(found.group(1)) if int(v) != 0]


def check_catalogue(entries):
    problems, seen = [], {}
    for name, number in entries:
        if number in seen:
            problems.append(f"{CATALOGUE}:1: {name} and {seen[number]} are both {number}")
        seen[number] = name
    return problems


def check_document(entries, text):
    problems = []
    explained = [int(n) for n in EXPLAINED.findall(text)]
    numbers = {number: name for name, number in entries}
    for number, name in sorted(numbers.items()):
        if number not in explained:
            problems.append(f"{DOCUMENT}:1: no line for TUTTI-E{number:04d} ({name})")
    for number in sorted(set(explained)):
        if number not in numbers:
            problems.append(f"{DOCUMENT}:1: TUTTI-E{number:04d} is not in {CATALOGUE}")
        if explained.count(number) > 1:
            problems.append(f"{DOCUMENT}:1: TUTTI-E{number:04d} is explained twice")
    return problems


def check_sources(root, entries):
    """Ids in texts exist; numbers are not written raw; returns also the names that are used."""
    problems, used = [], set()
    numbers = {number: name for name, number in entries}
    for path in lint_files.cxx_files(root):
        if path == CATALOGUE:
            continue
        text = lint_files.read(root, path)
        used |= set(re.findall(r"\bkErr\w+", text))
        if path.startswith("tests/"):
            continue
        code = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                      flags=re.S)
        for match in ID.finditer(code):
            # Programs of the C API write the number.
            used |= {numbers[n] for n in [int(match.group(1))] if n in numbers}
            if int(match.group(1)) not in numbers:
                line = code.count("\n", 0, match.start()) + 1
                problems.append(f"{path}:{line}: {match.group(0)} is not in {CATALOGUE}")
        for match in RAW.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: error {match.group(1)} as a bare number: use its name")
    return problems, used


def main():
    root = lint_files.repository()
    files = lint_files.all_files(root)
    if CATALOGUE not in files:
        lint_files.skip("check_errors", f"no {CATALOGUE}")
    entries = parse_catalogue(lint_files.read(root, CATALOGUE))
    problems = check_catalogue(entries)
    if not entries:
        problems.append(f"{CATALOGUE}:1: no \"enum ErrorId\" with kErr... = number")
    if DOCUMENT in files:
        problems += check_document(entries, lint_files.read(root, DOCUMENT))
    else:
        problems.append(f"{DOCUMENT}:1: does not exist")
    more, used = check_sources(root, entries)
    for name, number in entries:
        if name not in used:
            print(f"note: TUTTI-E{number:04d} {name} is not used yet")
    lint_files.finish("check_errors", problems + more, f"{len(entries)} ids")


if __name__ == "__main__":
    main()
