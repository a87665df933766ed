"""Across hosts with unequal links, on this machine: beside Open MPI, MPICH and Gloo over TCP.

The hosts are network namespaces (tests/net/hosts.py). For each layout, collective and size: GB/s of
each library, its CPU seconds for each GiB of all hosts together, the best peer, Tutti's rate over
the peer's, and over the bound of the links at the goodput of TCP, which `tutti plan` computes.
"""
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import (HERE, ROOT, compileBenches, complain, findBuild, install, installMpis,
                    machineLines, note, parseSize, problems, sizeName)

sys.path.insert(0, str(ROOT / "tests" / "net"))
import hosts as fixture

# The collectives of each layout, and the largest default size where links are thin.
ALL = ["allreduce", "allgather", "bcast"]
LAYOUTS = {"star:2,2,2,2": ALL, "star:2,2,2,0.5": ALL,
           "star:0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.25": ALL, "islands:4,0.5": ["allreduce"],
           "triangle": ["allreduce"]}
LARGEST = {"triangle": 16 << 20}
SIZES = [1 << 10, 16 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20]
QUICK_SIZES = [1 << 10, 64 << 10, 1 << 20, 16 << 20]
LARGE = 16 << 20
PLANNED = {"allreduce": "all_reduce", "allgather": "all_gather", "bcast": "broadcast"}
GLOO = {"gloo-ring": "ring", "gloo-chunked": "ring-chunked", "gloo-hd": "halving-doubling"}
PEERS = ["ompi", "mpich", *GLOO]
ROW = re.compile(r'\{"size": .*"cpu_us": .*\}')
GLOO_PACKAGES = ["libgloo-dev", "iproute2", "nftables"]


def oursOf(options):
    """Tutti's names and what each is told by the environment; @ is the layout's topology."""
    ours = {}
    for transport in (options.transports or "").split(","):
        chosen = {"TUTTI_TRANSPORTS": transport} if transport else {}
        name = "tutti-" + transport if transport else "tutti"
        ours[name] = chosen
        if options.topo:
            ours[name + "-topo"] = {**chosen, "TUTTI_TOPO_FILE": "@"}
    return ours


def peersOf(collective, options):
    chosen = options.peers.split(",") if options.peers else PEERS
    return [peer for peer in chosen if peer not in GLOO or collective == "allreduce" or
            peer == "gloo-ring"]  # its other collectives have one algorithm


# ---- Running ---------------------------------------------------------------------------------


def launch(hosts, host, command, environment, rows, limit):
    """Exit code and output; on all hosts as ranks where host is None. Who has printed its rows gets
    a moment to end: MPICH over UCX at times spins for ever in MPI_Finalize."""
    out = io.StringIO()
    if host is None:
        code = hosts.run_all(command, environment, limit, out)
    else:
        process = hosts.start(host, command, environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        reader = threading.Thread(target=lambda: [out.write(line) for line in process.stdout])
        reader.start()
        end = time.monotonic() + limit
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
            if len(ROW.findall(out.getvalue())) == rows:
                end = min(end, time.monotonic() + 3)
                rows = None
        code = process.poll()
        if code is None:
            code = 0 if rows is None else fixture.TIMED_OUT
    hosts.clear()
    if host is not None:
        process.wait()
        reader.join()
        process.stdout.close()
    return code, out.getvalue()


def command(name, hosts, folder, ours):
    """Where it is started, the words before the loop's arguments, and the environment."""
    names = hosts.layout.hosts
    if name == "ompi":
        return 0, ["mpirun.openmpi", "--allow-run-as-root", "--mca", "plm_rsh_agent", hosts.agent(),
                   "--host", ",".join(host + ":1" for host in names), "-np", hosts.size,
                   "--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl", "tcp,self",
                   "--mca", "mpi_yield_when_idle", "1", folder / "ompi_bench"], {}
    if name == "mpich":
        return 0, ["mpiexec.mpich", "-launcher", "ssh", "-launcher-exec", hosts.agent(), "-hosts",
                   ",".join(names), "-ppn", 1, "-np", hosts.size, "-genv", "UCX_TLS", "tcp,self",
                   folder / "mpich_bench"], {}
    if name in GLOO:
        meeting = tempfile.mkdtemp(dir=folder)
        return None, [folder / "gloo_bench", GLOO[name], meeting], {}
    topology = folder / "topology.json"
    topology.write_text(json.dumps(hosts.layout.topology()))
    told = {key: str(topology) if value == "@" else value for key, value in ours[name].items()}
    if "TUTTI_TOPO_FILE" not in told:
        told["TUTTI_PROBE"] = "1"
    told["TUTTI_CACHE_DIR"] = tempfile.mkdtemp(dir=folder)  # nothing known from earlier runs
    return None, [folder / "tutti_bench", "launched", "plain", "free"], told


def measure(samples, name, hosts, collective, sizes, folder, options):
    host, words, environment = command(name, hosts, folder, oursOf(options))
    words = words + [collective, ",".join(map(str, sizes)), options.batch_seconds, options.batches]
    code, text = launch(hosts, host, words, environment, len(sizes), options.limit)
    for found in ROW.findall(text):
        row = json.loads(found)
        key = (hosts.layout.name, collective, row["size"], name)
        entry = samples.setdefault(key, {"us": [], "cpu_us": []})
        entry["us"] += row["us"]
        entry["cpu_us"].append(row["cpu_us"])
        if row["wrong"]:
            complain(f"{name} {collective} {hosts.layout.name} {row['size']} B: {row['wrong']} "
                     "wrong elements")
    if code == fixture.TIMED_OUT:
        note(f"versus: {name} {collective} {hosts.layout.name}: ended after {options.limit} s")
    elif code != 0:
        complain(f"{name} {collective} {hosts.layout.name}: exit code {code}\n{text[-2000:]}")


def measureLayout(samples, layout, folder, options):
    sizes = [size for size in options.sizes if options.sizesGiven or
             size <= LARGEST.get(layout, size)]
    ours = [] if options.peers_only else list(oursOf(options))
    with fixture.Hosts(layout) as hosts:
        for collective in options.collectives or LAYOUTS.get(layout, ALL):
            begin = time.monotonic()
            names = ours + peersOf(collective, options)
            for turn in range(options.rounds):
                shift = turn * 2 % len(names)
                for name in names[shift:] + names[:shift]:
                    measure(samples, name, hosts, collective, sizes, folder, options)
            note(f"versus: {layout}, {collective}: {time.monotonic() - begin:.0f} s")


# ---- Results ---------------------------------------------------------------------------------


def boundOf(layout, collective, folder, options):
    """GB/s, or None without a build of Tutti."""
    if not options.build:
        return None
    file = folder / "bound.json"
    file.write_text(json.dumps(fixture.parse(layout).topology()))
    done = subprocess.run([options.build / "bin" / "tutti", "plan", file, "--coll",
                           PLANNED[collective], "--bound-only", "--json", "--no-cache"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        complain(f"tutti plan {layout}: {done.stderr.strip()}")
        return None
    return json.loads(done.stdout)["bound_gb_per_s"]


def rowOf(samples, layout, collective, size, names, bound, ours):
    row = {"layout": layout, "collective": collective, "size": size, "bound_gb_per_s": bound,
           "gb_per_s": {}, "cpu_s_per_gib": {}}
    for name in names:
        entry = samples.get((layout, collective, size, name))
        if entry:
            row["gb_per_s"][name] = size / statistics.median(entry["us"]) / 1e3
            row["cpu_s_per_gib"][name] = (statistics.median(entry["cpu_us"]) * 1e-6 /
                                          (size / (1 << 30)))
    peers = {name: rate for name, rate in row["gb_per_s"].items() if name not in ours}
    if peers:
        row["best_peer"] = max(peers, key=peers.get)
        row["ratio"] = {name: row["gb_per_s"][name] / peers[row["best_peer"]] for name in ours
                        if name in row["gb_per_s"]}
    return row


def tableOf(rows, names, ours):
    ours = [name for name in ours if any(name in row["gb_per_s"] for row in rows)]
    head = ["size", *names, "best peer"]
    head += [text for name in ours for text in (f"{name}/best", f"{name}/bound")]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [sizeName(row["size"])]
        cells += [f"{row['gb_per_s'][name]:.3g} ({row['cpu_s_per_gib'][name]:.3g})"
                  if name in row["gb_per_s"] else "-" for name in names]
        cells.append(row.get("best_peer", "-"))
        for name in ours:
            ratio, rate = row.get("ratio", {}).get(name), row["gb_per_s"].get(name)
            bound = row["bound_gb_per_s"]
            cells += [f"{ratio:.2f}" if ratio else "-", f"{rate / bound:.2f}" if rate else "-"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def summaryOf(rows, ours):
    lines = []
    for name in ours:
        ratios = {row["size"]: row["ratio"][name] for row in rows if name in row.get("ratio", {})}
        shares = [row["gb_per_s"][name] / row["bound_gb_per_s"] for row in rows
                  if row["size"] >= LARGE and name in row["gb_per_s"]]
        if ratios:
            worst = min(ratios, key=ratios.get)
            text = f"{name}/best: worst {ratios[worst]:.2f} at {sizeName(worst)}"
            if shares:
                large = min(ratio for size, ratio in ratios.items() if size >= LARGE)
                text += (f"; from {sizeName(LARGE)} up at least {large:.2f}, and at least "
                         f"{min(shares):.2f} of the bound")
            lines += ["", text + "."]
    return lines


def report(samples, folder, options):
    lines = ["# Tutti beside others across unequal hosts", ""] + machineLines()
    lines += [f"One rank on each host, fp32, sum, out of place; TCP with {fixture.CONGESTION}. "
              "GB/s of the vector (all-gather: of all received), and in brackets CPU seconds for each "
              f"GiB on all hosts together; medians of {options.rounds} alternating rounds of "
              f"{options.batches} batches, timed on the slowest rank. Bound: exact, of links at "
              f"{fixture.GOODPUT:.3f} of their rate. Layouts: tests/net/hosts.py.", ""]
    ours = [] if options.peers_only else list(oursOf(options))
    rows = []
    for layout in options.layouts:
        for collective in options.collectives or LAYOUTS.get(layout, ALL):
            bound = boundOf(layout, collective, folder, options)
            names = ours + peersOf(collective, options)
            part = [rowOf(samples, layout, collective, size, names, bound, ours)
                    for size in options.sizes]
            part = [row for row in part if row["gb_per_s"]]
            lines += [f"## {layout}, {collective}" + (f": bound {bound:.4f} GB/s" if bound else ""),
                      ""] + tableOf(part, names, ours) + summaryOf(part, ours) + [""]
            rows += part
    lines.append("Made by: `" + " ".join(["perf/versus/run"] + sys.argv[1:]) + "`")
    return rows, "\n".join(lines) + "\n"


def main(options):
    options.sizesGiven = options.sizes is not None
    options.sizes = ([parseSize(text) for text in options.sizes.split(",")] if options.sizes
                     else QUICK_SIZES if options.quick else SIZES)
    options.layouts = options.layouts or list(LAYOUTS)
    options.collectives = options.collectives.split(",") if options.collectives else None
    options.rounds = options.rounds or (1 if options.quick else 2)
    options.batches = options.batches or (2 if options.quick else 3)
    options.batch_seconds = 0.05
    for layout in options.layouts:
        fixture.parse(layout)
    installMpis(not options.no_install)
    install(GLOO_PACKAGES, Path("/usr/include/gloo/allreduce.h").exists(), not options.no_install)
    options.build = None if options.peers_only else findBuild(options.build)
    samples = {}
    with tempfile.TemporaryDirectory(prefix="tutti-versus-") as folder:
        folder = Path(folder)
        cxx = ["c++", "-std=c++20", "-O2", "-Wall", "-pthread"]
        compileBenches(folder, options.build, [
            [*cxx, HERE / "gloo_bench.cc", "-o", folder / "gloo_bench", "-lgloo"],
            [*cxx, ROOT / "tests" / "net" / "delay.cc", "-o", folder / "delay"]])
        os.environ["TUTTI_NET_DELAY"] = str(folder / "delay")
        try:
            for layout in options.layouts:
                measureLayout(samples, layout, folder, options)
        except fixture.NotAllowed as reason:
            sys.exit(f"versus: no hosts here: {reason}")
        rows, text = report(samples, folder, options)
    print(text, end="")
    if options.markdown:
        Path(options.markdown).write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    return 1 if problems else 0
