#!/usr/bin/env python3
"""Several hosts on one machine: network namespaces joined by shaped cables.

  hosts.py LAYOUT [--timeout S] -- COMMAND...   COMMAND once on each host
  hosts.py LAYOUT --topology                    it as JSON, for TUTTI_TOPO_FILE and tutti plan

A host is a network namespace with a host name of its own (h0, h1, ...). COMMAND gets TUTTI_RANK,
TUTTI_SIZE and TUTTI_ADDR; each line that it prints is prefixed with its rank; the exit code is the
worst of all, 124 after --timeout, 77 with the reason where namespaces are not allowed.

Layouts, in Gb/s, each direction:
  star:2,2,2,0.5-1%       hosts with such links to one switch; the last one loses 1 % of the packets
  islands:4,0.5           two switches with two hosts at 4 each, and 0.5 between the switches
  triangle:0.02,0.08,0.2,10   three sites, each pair (0-1, 0-2, 1-2) with a cable of its own, its
                          delay in ms, and its own subnet; these figures are the default
  rails:0.5,0.5           two hosts with so many cables between them, each its own subnet
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

GOODPUT = 1448 / 1514  # what one TCP stream delivers of a rate: payload over Ethernet frame
SKIPPED = 77  # ctest: SKIP_RETURN_CODE
TIMED_OUT = 124
NAMESPACES = Path("/run/netns")
# A host's settings: connections learn nothing from earlier ones.
SETTINGS = {"ipv4/tcp_no_metrics_save": "1", "ipv6/conf/all/disable_ipv6": "1"}
# By losses, as on most machines, and allowed in every namespace. Where bbr is the machine's own, it
# at times sends nothing for 50 ms with 600 KB queued and the window open (Linux 6.18, 4 Gb/s).
CONGESTION = "reno"
# Host name and /etc/hosts of the fixture, in mount and UTS namespaces that end with the command.
ENTER = ('echo "$1" >/proc/sys/kernel/hostname && mount --bind "$2" /etc/hosts && shift 2 && '
         'exec "$@"')
POSSIBLE = ("ip link add veth0 type veth peer name veth1 && ip link add bridge type bridge && "
            "tc qdisc add dev veth0 root tbf rate 1mbit burst 10kb limit 10kb")


class NotAllowed(Exception):
    """Why there can be no hosts here."""


class Link(NamedTuple):
    """A cable between two of h0, h1, ..., s0, s1, ...: the same both ways."""
    a: str
    b: str
    rate: float  # Gb/s
    loss: float = 0  # percent of the packets
    delay: float = 0  # ms


class Layout(NamedTuple):
    name: str
    hosts: list
    switches: list
    links: list

    def device(self, number, node):
        """The node's end of a link: to-PEER, and to-PEER-2 of a second cable to it."""
        link = self.links[number]
        peer = link.b if node == link.a else link.a
        same = sum({other.a, other.b} == {link.a, link.b} for other in self.links[:number])
        return f"to-{peer}" + (f"-{same + 1}" if same else "")

    def topology(self, goodput=GOODPUT):
        """For Tutti's planner: links as fast as a TCP stream finds them."""
        nodes = [{"id": h, "kind": "rank", "host": h} for h in self.hosts]
        nodes += [{"id": s, "kind": "switch"} for s in self.switches]
        links = [{"a": link.a, "b": link.b, "kind": "network", "latency_us": link.delay * 1000,
                  "gb_per_s": int(link.rate / 8 * goodput * 1e6) / 1e6} for link in self.links]
        return {"name": self.name, "nodes": nodes, "links": links}


def parse(text):
    """Layout of a description; ValueError says what is wrong."""
    kind, _, rest = text.partition(":")
    rates = []
    for part in (rest or "0.02,0.08,0.2,10" if kind == "triangle" else rest).split(","):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?)%)?", part)
        if not match or float(match[1]) <= 0 or float(match[2] or 0) >= 100:
            raise ValueError(f"'{part}' in layout '{text}' is no rate in Gb/s, such as 0.5 or 2-1%")
        rates.append((float(match[1]), float(match[2] or 0)))
    if kind == "star":
        hosts = [f"h{i}" for i in range(len(rates))]
        return Layout(text, hosts, ["s0"], [Link(h, "s0", *r) for h, r in zip(hosts, rates)])
    if kind == "islands" and len(rates) == 2:
        hosts = ["h0", "h1", "h2", "h3"]
        links = [Link(h, "s0" if h < "h2" else "s1", *rates[0]) for h in hosts]
        return Layout(text, hosts, ["s0", "s1"], links + [Link("s0", "s1", *rates[1])])
    if kind == "triangle" and len(rates) == 4:
        hosts = ["h0", "h1", "h2"]
        pairs = (("h0", "h1"), ("h0", "h2"), ("h1", "h2"))
        return Layout(text, hosts, [], [Link(a, b, *r, delay=rates[3][0])
                                        for (a, b), r in zip(pairs, rates)])
    if kind == "rails":
        return Layout(text, ["h0", "h1"], [], [Link("h0", "h1", *rate) for rate in rates])
    raise ValueError(f"layout '{text}' is none of star:R,R,..., islands:R,R, triangle:R,R,R,MS, "
                     "rails:R,R,...")


def check_allowed():
    """NotAllowed where this process cannot make what every layout needs. Leaves no trace."""
    missing = [t for t in ("ip", "tc", "unshare", "setpriv", "mount") if not shutil.which(t)]
    if missing:
        raise NotAllowed("not installed: " + " ".join(missing))
    if os.geteuid() != 0:
        raise NotAllowed("network namespaces need root")
    tried = subprocess.run(["unshare", "--net", "--mount", "--uts", "sh", "-ec", POSSIBLE],
                           capture_output=True, text=True)
    if tried.returncode != 0:
        raise NotAllowed("no shaped network namespaces: " + tried.stderr.strip())


def tool(*words):
    """Runs a system tool, out of reach of a terminal's Ctrl-C."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          start_new_session=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def end_processes(prefix, spared=()):
    """Kills what runs in the namespaces of that prefix."""
    inodes = {path.stat().st_ino for path in NAMESPACES.glob(prefix + "-*")}
    for _ in range(1000):
        found = [pid for pid in os.listdir("/proc") if pid.isdigit() and inode_of(pid) in inodes]
        pids = [int(pid) for pid in found if int(pid) not in spared]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)


def remove(prefix):
    """Ends what runs in the namespaces of that prefix, and deletes them and their folder."""
    end_processes(prefix)
    for path in NAMESPACES.glob(prefix + "-*"):
        subprocess.run(["ip", "netns", "del", path.name], stderr=subprocess.DEVNULL,
                       start_new_session=True)
    shutil.rmtree(folder_of(prefix), ignore_errors=True)


def inode_of(pid):
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None  # it has ended


def folder_of(prefix):
    return Path(tempfile.gettempdir()) / prefix


def sweep():
    """Removes what fixtures left that were killed by SIGKILL."""
    for path in NAMESPACES.glob("tutti-net-*-*"):
        owner = path.name.split("-")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove(f"tutti-net-{owner}")


def delay_program():
    """tests/net/delay.cc, built."""
    named = os.environ.get("TUTTI_NET_DELAY")
    root = Path(__file__).resolve().parents[2]
    found = [named] if named else sorted(root.glob("build/*/bin/tutti_net_delay"))
    if not found:
        raise NotAllowed("tutti_net_delay is not built; TUTTI_NET_DELAY names it")
    return found[-1]


class Hosts:
    """A layout while the `with` lasts, also if that ends by SIGTERM, SIGINT or SIGHUP. One at a
    time in a process, in its main thread."""

    def __init__(self, layout, congestion=CONGESTION):
        self.layout = parse(layout)
        self._settings = SETTINGS | {"ipv4/tcp_congestion_control": congestion}
        self.size = len(self.layout.hosts)
        self._prefix = f"tutti-net-{os.getpid()}"
        self._folder = folder_of(self._prefix)
        self._handlers = {}
        self._helpers = []
        self._port = 29500

    def __enter__(self):
        check_allowed()
        sweep()

        def stop(number, _):
            sys.exit(128 + number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, stop)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for number in self._handlers:  # nothing interrupts the clearing up
            signal.signal(number, lambda *_: None)
        for helper in self._helpers:
            helper.kill()
            helper.communicate()
        remove(self._prefix)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    # ---- Using ---------------------------------------------------------------------------------

    def address(self, host):
        """By which the others reach it."""
        return f"10.77.0.{host + 1}"

    def enter(self, host):
        """The words before a command that make it run on the host."""
        name = self.layout.hosts[host]
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self._namespace(name),
                "unshare", "--uts", "sh", "-c", ENTER, "sh", name, str(self._folder / "hosts")]

    def cut(self, number):
        """Drops all that comes over a link, without a word to anybody who uses it."""
        link = self.layout.links[number]
        for node in (link.a, link.b):
            tool("ip", "netns", "exec", self._namespace(node), "nft",
                 "table netdev cut { chain cut { type filter hook ingress device "
                 f'"{self.layout.device(number, node)}" priority 0; drop; }}; }}')

    def agent(self):
        """A program that launchers may call like rsh: [options] HOST COMMAND..."""
        path = self._folder / "agent"
        path.write_text(f"""#!/bin/sh
while case $1 in -*) ;; *) false ;; esac; do shift; done
host=$1; shift
exec ip netns exec {self._prefix}-"$host" unshare --uts sh -c '{ENTER}' sh "$host" \
  {self._folder}/hosts sh -c "$*"
""")
        path.chmod(0o755)
        return str(path)

    def reshape(self, host, rate):
        """Both directions of all cables of the host have another rate from now on, in Gb/s."""
        name = self.layout.hosts[host]
        for link in self.layout.links:
            if name not in (link.a, link.b):
                continue
            for node, device in ((link.a, f"to-{link.b}"), (link.b, f"to-{link.a}")):
                space = self._namespace(node)
                tool("tc", "-n", space, "qdisc", "del", "dev", device, "root")
                shape(space, device, rate)

    def clear(self):
        """Ends all processes on the hosts."""
        end_processes(self._prefix, spared=[helper.pid for helper in self._helpers])

    def start(self, host, command, env=None, **options):
        """subprocess.Popen on the host; env is added to this process's."""
        return subprocess.Popen(self.enter(host) + [str(word) for word in command],
                                env=dict(os.environ, **(env or {})), start_new_session=True,
                                **options)

    def run(self, host, command, env=None, timeout=None):
        """Runs to its end; subprocess.CompletedProcess with its output as text. TimeoutExpired."""
        with self.start(host, command, env, text=True, stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def ranks(self):
        """The environment of each host's rank, with an address that no earlier run has used."""
        self._port += 1
        return [{"TUTTI_RANK": str(rank), "TUTTI_SIZE": str(self.size),
                 "TUTTI_ADDR": f"{self.address(0)}:{self._port}"} for rank in range(self.size)]

    def run_all(self, command, env=None, timeout=None, out=sys.stdout):
        """Once on each host, as rank after rank. Returns the worst exit code."""
        begin = time.monotonic()
        running = [self.start(rank, command, {**(env or {}), **mine}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                   for rank, mine in enumerate(self.ranks())]
        printers = [threading.Thread(target=prefixed, args=(rank, process.stdout, out), daemon=True)
                    for rank, process in enumerate(running)]
        for printer in printers:
            printer.start()
        codes = []
        for process in running:
            left = timeout and max(0, timeout - (time.monotonic() - begin))
            try:
                code = process.wait(left)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = TIMED_OUT
            codes.append(code if code >= 0 else 128 - code)
        for printer, process in zip(printers, running):
            printer.join(1)  # what a rank left running may hold its output open
            if not printer.is_alive():
                process.stdout.close()
        return max(codes)

    # ---- Building ------------------------------------------------------------------------------

    def _namespace(self, node):
        return f"{self._prefix}-{node}"

    def _build(self):
        self._folder.mkdir()
        lines = ["127.0.0.1 localhost"]
        lines += [f"{self.address(i)} {name}" for i, name in enumerate(self.layout.hosts)]
        (self._folder / "hosts").write_text("\n".join(lines) + "\n")
        write = " && ".join(f"echo {value} >/proc/sys/net/{key}"
                            for key, value in self._settings.items())
        for node in self.layout.hosts + self.layout.switches:
            space = self._namespace(node)
            tool("ip", "netns", "add", space)
            tool("ip", "netns", "exec", space, "sh", "-c", f"{write}")
            tool("ip", "-n", space, "link", "set", "lo", "up")
        for switch in self.layout.switches:
            tool("ip", "-n", self._namespace(switch), "link", "add", "bridge", "type", "bridge")
            tool("ip", "-n", self._namespace(switch), "link", "set", "bridge", "up")
        for number in range(len(self.layout.links)):
            self._cable(number)
        if not self.layout.switches:
            self._route()

    def _cable(self, number):
        link = self.layout.links[number]
        ends = [(node, self.layout.device(number, node)) for node in (link.a, link.b)]
        places = [word for node, device in ends for word in (self._namespace(node), device)]
        if link.delay:
            files = [str(NAMESPACES / places[0]), places[1], str(NAMESPACES / places[2]), places[3]]
            helper = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", delay_program(), *files, str(link.delay)],
                stdout=subprocess.PIPE, start_new_session=True)
            self._helpers.append(helper)
            if helper.stdout.readline() != b"ready\n":
                raise RuntimeError("tutti_net_delay did not start")
        else:
            tool("ip", "link", "add", places[1], "netns", places[0], "type", "veth", "peer", "name",
                 places[3], "netns", places[2])
        for node, device in ends:
            space = self._namespace(node)
            shape(space, device, link.rate)
            if link.loss:
                lose(space, device, link.loss)
            if node in self.layout.switches:
                tool("ip", "-n", space, "link", "set", device, "master", "bridge")
            elif self.layout.switches:
                address = self.address(self.layout.hosts.index(node))
                tool("ip", "-n", space, "address", "add", address + "/24", "dev", device)
            tool("ip", "-n", space, "link", "set", device, "up")

    def _route(self):
        """Each cable is a subnet; a host's own address is on lo; all that a peer has is reached by
        the cable to it."""
        hosts = self.layout.hosts
        inner = {host: [self.address(i)] for i, host in enumerate(hosts)}
        cables = {}  # of a node and an address of its peer
        for number, link in enumerate(self.layout.links):
            for node, peer in ((link.a, link.b), (link.b, link.a)):
                address = f"10.77.{number + 1}.{hosts.index(node) + 1}"
                device = self.layout.device(number, node)
                inner[node].append(address)
                cables[peer, address] = self.layout.device(number, peer)
                cables.setdefault((node, self.address(hosts.index(peer))), device)
                tool("ip", "-n", self._namespace(node), "address", "add", address + "/24", "dev",
                     device)
        for node in hosts:
            space = self._namespace(node)
            tool("ip", "-n", space, "address", "add", inner[node][0] + "/32", "dev", "lo")
            for peer in hosts:
                near = cables.get((node, inner[peer][0]))
                for address in inner[peer] if peer != node else []:
                    tool("ip", "-n", space, "route", "replace", address + "/32", "dev",
                         cables.get((node, address), near), "src", inner[node][0])


def shape(space, device, rate):
    """A token bucket and a queue, for what leaves by the device. A larger bucket would let short
    calls pass unshaped, a smaller one loses rate when the timer is late. From 0.2 Gb/s up it holds
    a whole segment of 64 KiB, or tbf would cut each to packets, at about four times the CPU time."""
    per_ms = rate * 1e9 / 8 / 1000
    burst = int(max((72 if rate >= 0.2 else 24) << 10, per_ms))
    queue = int(max(256 << 10, per_ms * 10))
    tool("tc", "-n", space, "qdisc", "add", "dev", device, "root", "tbf", "rate",
         f"{int(rate * 1e6)}kbit", "burst", burst, "limit", queue)


def lose(space, device, percent):
    """Drops that part of the packets that arrive, one by one and not 64 KiB of a stream."""
    if not shutil.which("nft"):
        raise NotAllowed("not installed: nft")
    tool("ip", "-n", space, "link", "set", device, "gso_max_segs", "1")
    tool("ip", "netns", "exec", space, "nft",
         f'table netdev loss {{ chain {device.replace("-", "_")} {{ '
         f'type filter hook ingress device "{device}" '
         f"priority 0; counter numgen random mod 100000 < {int(percent * 1000)} counter drop; "
         "}; }")


def prefixed(rank, pipe, out):
    for line in pipe:
        out.write(f"[{rank}] " + line.decode(errors="replace").rstrip("\n") + "\n")
        out.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout")
    parser.add_argument("--timeout", type=float, metavar="S")
    parser.add_argument("--topology", action="store_true")
    parser.add_argument("--congestion", metavar="NAME", default=CONGESTION,
                        help="TCP's congestion control (%(default)s), of those in "
                        "/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    own = sys.argv[1:]
    command = own[own.index("--") + 1:] if "--" in own else []
    options = parser.parse_args(own[:own.index("--")] if "--" in own else own)
    if options.topology == bool(command):
        parser.error("either --topology or -- COMMAND")
    try:
        if options.topology:
            print(json.dumps(parse(options.layout).topology(), indent=1))
            return 0
        with Hosts(options.layout, options.congestion) as hosts:
            return hosts.run_all(command, timeout=options.timeout)
    except ValueError as error:
        parser.error(str(error))
    except NotAllowed as reason:
        print(f"hosts: skipped: {reason}", file=sys.stderr)
        return SKIPPED
    except RuntimeError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
