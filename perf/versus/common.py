"""What the modes of perf/versus share: messages, sizes, packages, Tutti's build."""
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Open MPI and MPICH: a command that shows that a package is here, and the packages.
MPI_TOOLS = ["mpirun.openmpi", "mpicc.openmpi", "mpiexec.mpich", "mpicc.mpich"]
MPI_PACKAGES = ["openmpi-bin", "libopenmpi-dev", "libucx0", "mpich", "libmpich-dev"]


def note(text):
    print(text, file=sys.stderr, flush=True)


problems = []


def complain(text):
    problems.append(text)
    note("versus: " + text)


def sizeName(size):
    for shift, unit in ((20, "M"), (10, "K")):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def parseSize(text):
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper())
    return int(float(text[:-1]) * scale) if scale else int(text)


def geometricMean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values)) if values else float("nan")


def install(packages, isHere, mayInstall):
    """Sees to it that the Debian packages are installed; isHere: whether that can be left out."""
    if isHere:
        return
    if not mayInstall:
        sys.exit("versus: missing: apt-get install " + " ".join(packages))
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    note("versus: installing " + " ".join(packages))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(sudo + ["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    subprocess.run(sudo + ["apt-get", "install", "-y", "-qq", "--no-install-recommends"] + packages,
                   check=True, stdout=sys.stderr, env=environment)


def installMpis(mayInstall):
    install(MPI_PACKAGES, all(shutil.which(tool) for tool in MPI_TOOLS), mayInstall)


def findBuild(wanted):
    if wanted:
        folders = [Path(wanted)]
    else:
        folders = [ROOT / "build" / "release"] + sorted((ROOT / "build").glob("*"))
    for folder in folders:
        if (folder / "lib" / "libtutti.so").exists():
            return folder.resolve()
    sys.exit("versus: no libtutti.so found; build Tutti first (cmake --preset release && cmake "
             "--build --preset release), name the folder with --build, or use --peers-only")


def compileBenches(folder, build, extra=()):
    """mpi_bench.c for each MPI, tutti_bench.c for a build, and more compiler calls."""
    flags = ["-std=gnu11", "-O3", "-Wall"]
    jobs = [["mpicc.openmpi", *flags, HERE / "mpi_bench.c", "-o", folder / "ompi_bench"],
            ["mpicc.mpich", *flags, HERE / "mpi_bench.c", "-o", folder / "mpich_bench"], *extra]
    if build:
        library = build / "lib"
        jobs.append(["cc", *flags, HERE / "tutti_bench.c", f"-I{ROOT / 'include'}",
                     f"-L{library}", "-ltutti", f"-Wl,-rpath,{library}", "-o",
                     folder / "tutti_bench"])
    for job in jobs:
        subprocess.run([str(part) for part in job], check=True)


def machineLines():
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    versions = []
    for tool in (["mpirun.openmpi", "--version"], ["mpichversion"]):
        if shutil.which(tool[0]):
            out = subprocess.run(tool, capture_output=True, text=True).stdout
            versions.append(" ".join(out.splitlines()[0].split()))
    return [f"{model}, {len(os.sched_getaffinity(0))} cores, {pages} GiB, Linux "
            f"{platform.release()}. {'; '.join(versions)}."]
