#!/usr/bin/env python3
"""Every C and C++ file is as clang-format 14 lays it out, and no line passes 100 columns.

    check_format.py [FILE...]          check all files, or these
    check_format.py --fix [FILE...]    lay them out
Files of macro tables (.inc) are laid out by hand. Another version of clang-format lays out
differently, so without version 14 the check is skipped.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lint_files

COLUMNS = 100
VERSION = 14


def find_clang_format():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if path:
            out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            if re.search(rf"version {VERSION}\.", out.stdout):
                return path
    return None


def long_lines(root, files):
    problems = []
    for path in files:
        for number, line in enumerate(lint_files.read(root, path).splitlines(), 1):
            if len(line) > COLUMNS and "http" not in line:
                problems.append(f"{path}:{number}: {len(line)} columns, more than {COLUMNS}")
    return problems


def fix(root, files, tool):
    """Lays files out; comments are reflowed only where a line is too long."""
    subprocess.run([tool, "-i", "--style=file"] + files, cwd=root, check=True)
    with open(f"{root}/.clang-format", encoding="utf-8") as style:
        reflow = style.read().replace("ReflowComments: false", "ReflowComments: true")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as style:
        style.write(reflow)
        style.flush()
        for path in files:
            lines = [int(p.split(":")[1]) for p in long_lines(root, [path])]
            if lines:
                subprocess.run([tool, "-i", f"--style=file:{style.name}"]
                               + [f"--lines={n}:{n}" for n in lines] + [path], cwd=root, check=True)


def misformatted(root, files, tool):
    out = subprocess.run([tool, "--dry-run", "--ferror-limit=1", "--style=file"] + files,
                         cwd=root, capture_output=True, text=True, check=False)
    found = re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): ", out.stderr, re.M)
    if out.returncode != 0 and not found:
        return [out.stderr.strip()]
    seen, problems = set(), []
    for path, line in found:
        if path not in seen:
            seen.add(path)
            problems.append(f"{path}:{line}: clang-format differs (check_format.py --fix)")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    root = lint_files.repository()
    named = [os.path.relpath(os.path.abspath(f), root) for f in arguments.files]
    files = [f for f in (named or lint_files.cxx_files(root)) if not f.endswith(".inc")]
    tool = find_clang_format()
    if arguments.fix:
        if not tool:
            sys.exit(f"check_format: clang-format-{VERSION} is needed")
        if files:
            fix(root, files, tool)
        return
    if not tool:
        lint_files.skip("check_format", f"no clang-format of version {VERSION}")
    problems = (misformatted(root, files, tool) if files else []) + long_lines(root, files)
    lint_files.finish("check_format", problems, f"{len(files)} files")


if __name__ == "__main__":
    main()
