"""Tutti across hosts: right results over every layout, over a cable that loses packets, and a dead
host that is named.  collectives_test.py FOLDER: the programs of perf/."""
import ctypes
import io
import json
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import hosts as fixture
from hosts import Hosts

LIBFABRIC = {"TUTTI_TRANSPORTS": "ofi"}
PROGRAMS = Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/release/bin").resolve()


def arguments(program, largest):
    return [PROGRAMS / program, "-b", "4", "-e", largest, "-f", "32", "-n", "2", "-w", "1",
            "-T", "60"]


def best_rate(text):
    """Of the first row: GB/s, the better one of out of place and in place."""
    row = next(line for line in text.splitlines() if "float" in line)
    columns = row.split("float")[1].split()
    return max(float(columns[3]), float(columns[7]))


def has(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


# tests/fakes: a plugin in the newest version of its interface.
PLUGIN_FILE = PROGRAMS.parent / "tests" / "fakes" / "libnccl-net-fake12.so"
PLUGIN = {"TUTTI_TRANSPORTS": "net_plugin", "TUTTI_NET_PLUGIN": str(PLUGIN_FILE),
          "FAKE_NET_ADDRESS": "own"}
needs_plugin = unittest.skipUnless(PLUGIN_FILE.exists(), "the plugin of tests/fakes is not built")
needs_libfabric = unittest.skipUnless(has("libfabric.so.1"), "no libfabric")


# Tries ports of an address.
KNOCK = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 0.5).sendall(b"x" * 100)
        print("connected")
    except OSError as error:
        print(error)
"""


def listening(hosts, host):
    """The addresses and ports where somebody listens there."""
    lines = hosts.run(host, ["ss", "-Hltn"]).stdout.splitlines()
    return [line.split()[3].rsplit(":", 1) for line in lines]


class Collectives(unittest.TestCase):
    def check(self, hosts, program, largest, env=None):
        out = io.StringIO()
        code = hosts.run_all(arguments(program, largest), timeout=60, out=out, env=env)
        self.assertEqual(code, 0, f"{program} on {hosts.layout.name}\n{out.getvalue()}")
        self.assertIn("Out of bounds values : 0 OK", out.getvalue())

    def test_star(self):
        with Hosts("star:1,1,0.25") as hosts:
            for program in ("all_reduce_perf", "all_gather_perf", "broadcast_perf",
                            "alltoall_perf", "sendrecv_perf"):
                self.check(hosts, program, "2M")

    def test_islands(self):
        with Hosts("islands:1,0.25") as hosts:
            self.check(hosts, "all_reduce_perf", "2M")
            self.check(hosts, "reduce_scatter_perf", "2M")

    def test_triangle(self):
        with Hosts("triangle") as hosts:
            self.check(hosts, "all_reduce_perf", "128K")
            self.check(hosts, "broadcast_perf", "128K")

    def test_plans_for_what_it_measures(self):
        """No hints: the slow host's line limits, and trees over it carry the vector once."""
        with Hosts("star:1,1,1,0.25") as hosts:
            out = io.StringIO()
            call = [PROGRAMS / "all_reduce_perf", "-b", "4M", "-e", "4M", "-n", "3", "-w", "1",
                    "-T", "60"]
            code = hosts.run_all(call, timeout=60, out=out,
                                 env={"TUTTI_PROBE": "1", "TUTTI_CACHE_DIR": "off"})
            self.assertEqual(code, 0, out.getvalue())
            # Of 0.0299 GB/s, the bound; a ring cannot come above two thirds.
            self.assertGreater(best_rate(out.getvalue()), 0.7 * 0.0299, out.getvalue())

    def test_measures_the_same_hosts_once(self):
        with Hosts("star:1,0.5") as hosts, tempfile.TemporaryDirectory() as folder:
            for age, word in ((60, "measured"), (60, "knew"), (0, "measured")):
                out = io.StringIO()
                code = hosts.run_all([PROGRAMS / "all_reduce_perf", "-b", "64K", "-e", "64K", "-n",
                                      "1", "-T", "60"], timeout=60, out=out,
                                     env={"TUTTI_PROBE": "1", "TUTTI_CACHE_DIR": folder,
                                          "TUTTI_PROBE_AGE": str(age), "TUTTI_DEBUG": "INFO",
                                          "TUTTI_DEBUG_SUBSYS": "GRAPH"})
                self.assertEqual(code, 0, out.getvalue())
                self.assertEqual(out.getvalue().count(f"{word} 2 hosts in"), 2, out.getvalue())

    def test_probe_prints_a_topology_file(self):
        with Hosts("islands:1,0.25") as hosts:
            out = io.StringIO()
            code = hosts.run_all([PROGRAMS / "tutti", "probe", "--json"], timeout=60, out=out)
            self.assertEqual(code, 0, out.getvalue())
            text = "".join(line.split("] ", 1)[1] + "\n" for line in out.getvalue().splitlines()
                           if line.startswith("[0] "))
            fabric = json.loads(text[text.index("{"):])
            self.assertEqual(sum(node["kind"] == "switch" for node in fabric["nodes"]), 2, text)
            self.assertTrue(all(link["provenance"] == "measured" for link in fabric["links"]))

    def test_a_cable_that_loses_packets(self):
        with Hosts("star:1,0.5-1%") as hosts:
            self.check(hosts, "all_reduce_perf", "2M")

    def test_two_cables_carry_twice_as_much(self):
        with Hosts("rails:0.2,0.2") as hosts:
            out = io.StringIO()
            call = [PROGRAMS / "broadcast_perf", "-b", "4M", "-e", "4M", "-n", "3", "-w", "1"]
            self.assertEqual(hosts.run_all(call, timeout=60, out=out), 0, out.getvalue())
            # One carries 0.0239 GB/s.
            self.assertGreater(best_rate(out.getvalue()), 1.6 * 0.0239, out.getvalue())

    def test_a_cut_cable_leaves_its_work_to_the_other(self):
        with Hosts("rails:0.4,0.4") as hosts:
            calls = [PROGRAMS / "all_reduce_perf", "-b", "1M", "-e", "1M", "-n", "200", "-T", "20"]
            running = [hosts.start(rank, calls, mine, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
                       for rank, mine in enumerate(hosts.ranks())]
            time.sleep(1.5)
            hosts.cut(1)
            texts = [process.communicate(timeout=60) for process in running]
            for process, (out, err) in zip(running, texts):
                self.assertEqual(process.returncode, 0, out + err)
            self.assertIn("Out of bounds values : 0 OK", texts[0][0])
            self.assertIn("it delivers nothing while other lanes do", texts[0][1] + texts[1][1])


    @needs_libfabric
    def test_libfabric(self):
        """Any of its providers for TCP; in the triangle a host has several addresses."""
        with Hosts("star:1,1,0.25") as hosts:
            self.check(hosts, "all_reduce_perf", "2M", LIBFABRIC)
            self.check(hosts, "alltoall_perf", "2M", {**LIBFABRIC, "TUTTI_OFI_PROVIDER": "tcp"})
        with Hosts("triangle") as hosts:
            self.check(hosts, "all_reduce_perf", "128K", LIBFABRIC)

    @needs_plugin
    def test_network_plugin(self):
        """Slow lines, and sites with a delay: connecting takes both ends many calls."""
        with Hosts("star:1,1,0.25") as hosts:
            self.check(hosts, "all_reduce_perf", "2M", PLUGIN)
            self.check(hosts, "alltoall_perf", "2M", PLUGIN)
        with Hosts("triangle") as hosts:
            self.check(hosts, "all_reduce_perf", "128K", PLUGIN)

    def test_uses_the_chosen_interface(self):
        """Hosts of the triangle have two cables; h0 and h1 share the first."""
        with Hosts("triangle") as hosts:
            call = [PROGRAMS / "all_reduce_perf", "-b", "4K", "-e", "4K", "-n", "1000000",
                    "-T", "20"]
            for chosen, expected in ((("=to-h1", "=to-h0"), {"10.77.1.1"}),
                                     (("^lo", "^lo"), {"10.77.1.1", "10.77.2.1"})):
                ranks = [{**mine, "TUTTI_SIZE": "2", "TUTTI_NET": "ucx",
                          "TUTTI_SOCKET_IFNAME": name}
                         for mine, name in zip(hosts.ranks(), chosen)]
                running = [hosts.start(rank, call, mine, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
                           for rank, mine in enumerate(ranks)]
                time.sleep(2)
                found = {address for address, _ in listening(hosts, 0) if address[0] == "1"}
                self.assertEqual(found, expected)
                self.assertEqual([rank.poll() for rank in running], [None, None])
                hosts.clear()
                for rank in running:
                    rank.wait(10)

    def test_strangers_do_not_come_in(self):
        """Neither from a host of the communicator nor from another one."""
        with Hosts("star:1,1,1") as hosts:
            call = [PROGRAMS / "all_reduce_perf", "-b", "4K", "-e", "4K", "-n", "1000000",
                    "-T", "20"]
            ranks = [{**mine, "TUTTI_SIZE": "2", "TUTTI_NET": "ucx"} for mine in hosts.ranks()[:2]]
            running = [hosts.start(rank, call, mine, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL) for rank, mine in enumerate(ranks)]
            time.sleep(2)
            ports = [port for address, port in listening(hosts, 0) if address == hosts.address(0)]
            self.assertTrue(ports, "UCX listens at the host's address")
            for host in (1, 2):
                done = hosts.run(host, [sys.executable, "-c", KNOCK, hosts.address(0), *ports])
                self.assertEqual(done.stdout, "timed out\n" * len(ports), done.stderr)
            self.assertEqual([rank.poll() for rank in running], [None, None])
            hosts.clear()
            for rank in running:
                rank.wait(10)

    def test_a_dead_host_is_named(self):
        self.check_dead_host({})

    @needs_libfabric
    def test_a_dead_host_is_named_over_libfabric(self):
        self.check_dead_host({**LIBFABRIC, "TUTTI_OFI_PROVIDER": "tcp"})

    @needs_plugin
    def test_a_dead_host_is_named_over_a_network_plugin(self):
        self.check_dead_host(PLUGIN)

    def check_dead_host(self, env):
        with Hosts("star:1,1,1") as hosts:
            running = [hosts.start(rank, [PROGRAMS / "all_reduce_perf", "-b", "4K", "-e", "4K",
                                          "-n", "1000000", "-T", "20"], {**mine, **env}, text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                       for rank, mine in enumerate(hosts.ranks())]
            time.sleep(2)
            begin = time.monotonic()
            running[1].send_signal(signal.SIGKILL)
            for rank in (0, 2):
                text = running[rank].communicate(timeout=30)[1]
                self.assertNotEqual(running[rank].returncode, 0)
                self.assertIn("rank 1", text)
            running[1].communicate()
            self.assertLess(time.monotonic() - begin, 25)


if __name__ == "__main__":
    try:
        fixture.check_allowed()
    except fixture.NotAllowed as reason:
        print(f"skipped: {reason}")
        sys.exit(fixture.SKIPPED)
    unittest.main(verbosity=2)
