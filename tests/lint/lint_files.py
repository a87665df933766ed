"""Which files the checkers look at, and how they report. Shared by all of tests/lint."""
import os
import subprocess
import sys

CXX = (".h", ".hpp", ".c", ".cc", ".cpp", ".inc")
SKIP = 77  # ctest: SKIP_RETURN_CODE
_IGNORED_DIRS = {"build", "install", "node_modules", "__pycache__"}


def repository():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def all_files(root):
    """Paths from root: what git tracks or would track; without git, all but build folders."""
    try:
        top = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"],
                             capture_output=True, text=True, check=True).stdout.strip()
        if os.path.realpath(top) == os.path.realpath(root):
            out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                                 capture_output=True, check=True).stdout.decode()
            return sorted(f for f in set(out.split("\0")) if f and os.path.isfile(f"{root}/{f}"))
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [d for d in folders if d not in _IGNORED_DIRS and not d.startswith(".")]
        found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(found)


def cxx_files(root):
    return [f for f in all_files(root) if f.endswith(CXX)]


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def finish(name, problems, checked):
    """Prints the problems, one a line as file:line: text, and exits with 1 if there are any."""
    for problem in problems:
        print(problem)
    verdict = f"{len(problems)} problem(s)" if problems else "ok"
    print(f"{name}: {checked}: {verdict}")
    sys.exit(1 if problems else 0)


def skip(name, why):
    print(f"{name}: skipped: {why}")
    sys.exit(SKIP)
