#!/usr/bin/env python3
"""Every directory with code has a README.md of under one screen; headers use #pragma once; files
stay short: over 800 lines is refused, over 500 is reported."""
import os

import lint_files

CODE = lint_files.CXX + (".py", ".sh", ".cmake")
# Headers named *_inl.h are included once for each SIMD target, on purpose.
README_LINES = 60
REPORTED, REFUSED = 500, 800
# Folders that their parent's README speaks for: tests/unit mirrors the tree, and so on.
SPOKEN_FOR = ("tests/unit/", "tests/install/", "tests/multi/", "tests/faults/")


def folders_with_code(files):
    folders = {os.path.dirname(f) for f in files if f.endswith(CODE)}
    return sorted(d for d in folders
                  if d and not d.startswith(".") and not (d + "/").startswith(SPOKEN_FOR)
                  or d + "/" in SPOKEN_FOR)


def main():
    root = lint_files.repository()
    files = lint_files.all_files(root)
    problems, notes = [], []
    folders = folders_with_code(files)
    for folder in folders:
        readme = f"{folder}/README.md"
        if readme not in files:
            problems.append(f"{folder}:1: has code and no README.md")
            continue
        lines = len(lint_files.read(root, readme).splitlines())
        if lines > README_LINES:
            problems.append(f"{readme}:{lines}: over {README_LINES} lines: more than one screen")
    for path in files:
        if not path.endswith(CODE):
            continue
        text = lint_files.read(root, path)
        lines = text.count("\n")
        if lines > REFUSED:
            problems.append(f"{path}:{lines}: over {REFUSED} lines: split it")
        elif lines > REPORTED:
            notes.append(f"{path}: {lines} lines, aim at {REPORTED}")
        is_public = path.startswith("include/")  # C99: classic guards are right there
        if path.endswith((".h", ".hpp")) and "#pragma once" not in text and not (
                is_public and "#ifndef" in text) and not path.endswith(("-inl.h", "_inl.h")):
            problems.append(f"{path}:1: no #pragma once")
    for note in notes:
        print("note: " + note)
    lint_files.finish("check_readmes", problems, f"{len(folders)} folders, {len(files)} files")


if __name__ == "__main__":
    main()
