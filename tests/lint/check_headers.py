#!/usr/bin/env python3
"""Each header of the rooms compiles alone, twice over. What a header includes before its first
declaration may as well have been included before it: so headers that include each other in a row
(a includes b includes c) share one unit, c first, and what many include is precompiled."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import tempfile

import lint_files

ROOMS = ("src/", "topology/", "transports/", "perf/", "tests/")
# Headers that others include on their own terms (SIMD targets), and what CMake does not compile.
LEFT_OUT = re.compile(r"[_-]inl\.h$|^tests/install/|^perf/versus/")
# What is precompiled: for headers that include all of it, the first that fits.
PRELUDES = (("src/base/status.h", "<vector>"), ("<string>", "<vector>"), ())


def leading_includes(text):
    """What a header includes in any case, and before it declares anything."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    found = []
    for line in text.split("\n"):
        line = re.sub(r"//.*", "", line).strip()
        include = re.fullmatch(r'#\s*include\s*(?:"([^"]+)"|(<[^>]+>))', line)
        if include:
            found.append(include.group(1) or include.group(2))
        elif line and not re.fullmatch(r"#\s*pragma once", line):
            break
    return found


def closures(direct):
    """{header: everything that it includes, by way of others too}."""
    found = {}

    def visit(header):
        if header not in found:
            found[header] = set()  # of a cycle, less is known, and more is compiled
            for other in direct.get(header, ()):
                found[header] |= {other} | visit(other)
        return found[header]

    for header in direct:
        visit(header)
    return found


def prelude_of(header, closure):
    known = closure[header] | {header}
    return next(prelude for prelude in PRELUDES if known.issuperset(prelude))


def chains(headers, closure):
    """The fewest rows in which each header includes the one before it (as a matching of each header
    with the next one of its row)."""
    above = {h: [o for o in headers if h in closure[o] and h != o and o not in closure[h]]
             for h in headers}
    below = {}

    def place(header, tried):
        for other in above[header]:
            if other not in tried:
                tried.add(other)
                if other not in below or place(below[other], tried):
                    below[other] = header
                    return True
        return False

    for header in headers:
        place(header, set())
    rows = []
    for last in sorted(set(headers) - set(below.values())):
        row = [last]
        while row[-1] in below:
            row.append(below[row[-1]])
        rows.append(row[::-1])
    return rows


def include_line(header):
    return f"#include {header}\n" if header.startswith("<") else f'#include "{header}"\n'


def units(texts, closure):
    """[(prelude, headers of one unit in order)] for {path: text}."""
    of_prelude = {}
    for header in sorted(texts):
        of_prelude.setdefault(prelude_of(header, closure), []).append(header)
    return [(prelude, row) for prelude, headers in of_prelude.items()
            for row in chains(headers, closure)]


def digest_of(row, closure, texts, common):
    """What the answer for one unit depends on; headers of the system are taken to stay."""
    digest = hashlib.sha256(repr((row, common)).encode())
    for header in sorted(set(row).union(*(closure[h] for h in row))):
        digest.update(texts.get(header, header).encode())
    return digest.hexdigest()


def compiler_of(commands, probe):
    """The command that compiles `probe`, without its source and output."""
    with open(commands, encoding="utf-8") as file:
        entry = next(e for e in json.load(file) if os.path.samefile(e["file"], probe))
    words = shlex.split(entry["command"])
    return words[:words.index("-o")], entry["directory"]


class Compiler:
    def __init__(self, command, cwd, folder):
        self.command, self.cwd, self.folder = command, cwd, folder

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, *arguments):
        return subprocess.run([*self.command, *arguments], cwd=self.cwd, text=True,
                              capture_output=True, check=False)

    def precompile(self, index):
        """Precompiled or not, a unit includes the same; a prelude that is wrong is found there."""
        path = self.write(f"prelude{index}.h", "".join(map(include_line, PRELUDES[index])))
        self.run("-x", "c++-header", "-o", f"{path}.gch", path)

    def check(self, number, prelude, headers):
        text = "".join(map(include_line, headers)) * 2
        path = self.write(f"unit{number}.cc", text)
        before = ["-include", f"{self.folder}/prelude{PRELUDES.index(prelude)}.h"] if prelude else []
        done = self.run(*before, "-fsyntax-only", path)
        return done.stderr if done.returncode else ""


def compile_all(wanted, command, cwd, jobs):
    """{digest: what the compiler said} of the units that do not compile."""
    if not wanted:
        return {}
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        compiler = Compiler(command, cwd, folder)
        list(pool.map(compiler.precompile, (i for i, p in enumerate(PRELUDES) if p)))
        said = pool.map(lambda unit: compiler.check(unit[0], *unit[1]),
                        enumerate(wanted.values()))
        return {digest: text for digest, text in zip(wanted, said) if text}


def passed_before(path):
    try:
        with open(path or "", encoding="utf-8") as file:
            return set(json.load(file))
    except (OSError, ValueError):
        return set()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", help="compile_commands.json")
    parser.add_argument("probe", help="a source in it that is compiled as headers are to be")
    parser.add_argument("--passed", help="a file that keeps what passed, to compile only what is new")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    root = lint_files.repository()
    texts = {f: lint_files.read(root, f) for f in lint_files.cxx_files(root)
             if f.endswith(".h") and f.startswith(ROOMS) and not LEFT_OUT.search(f)}
    public = [lint_files.read(root, f) for f in lint_files.cxx_files(root)
              if f.startswith("include/")]
    closure = closures({path: leading_includes(text) for path, text in texts.items()})
    command, cwd = compiler_of(args.commands, args.probe)
    digests = {digest_of(row, closure, texts, command + public): (prelude, row)
               for prelude, row in units(texts, closure)}
    wanted = {d: unit for d, unit in digests.items() if d not in passed_before(args.passed)}
    problems = compile_all(wanted, command, cwd, args.jobs)
    if args.passed:
        with open(args.passed, "w", encoding="utf-8") as file:
            json.dump(sorted(set(digests) - set(problems)), file)
    lint_files.finish("check_headers", list(problems.values()),
                      f"{len(texts)} headers, {len(wanted)} of {len(digests)} units are new")


if __name__ == "__main__":
    main()
