"""A link that slows in the course of a run: all ranks go over to another plan at the same operation,
and are faster than the old one could be.  replan_test.py FOLDER: the programs of perf/."""
import re
import sys
import threading
import time
import unittest
from pathlib import Path

import hosts as fixture
from hosts import GOODPUT, Hosts

PROGRAMS = Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build/release/bin").resolve()
BYTES = 8 << 20
SLOW = 0.25  # Gb/s
BOUND = SLOW / 8 * GOODPUT  # GB/s: what the last host's cable carries of a vector
SETTLED = 3  # s after which a row is of the new plan only


class Lines:
    """What ranks print, with the time at which they did."""

    def __init__(self):
        self._lock = threading.Lock()
        self._lines = []

    def write(self, text):
        with self._lock:
            self._lines.append((time.monotonic(), text))

    def flush(self):
        pass

    def all(self):
        with self._lock:
            return list(self._lines)

    def text(self):
        return "".join(text for _, text in self.all())

    def find(self, pattern):
        """(time, match) of each line with it."""
        found = ((at, re.search(pattern, text)) for at, text in self.all())
        return [(at, match) for at, match in found if match]

    def await_one(self, pattern, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.find(pattern):
            time.sleep(0.05)
        return self.find(pattern)


class Replanning(unittest.TestCase):
    def run_meanwhile(self, hosts, lines, seconds, env=None, size=BYTES):
        """all_reduce_perf in a thread, for so long."""
        call = [PROGRAMS / "all_reduce_perf", "-b", size, "-e", size, "-n", "1", "-w", "0",
                "-N", "0", "-T", "60", "-c", "1"]
        env = {"TUTTI_PROBE": "1", "TUTTI_CACHE_DIR": "off", "TUTTI_DEBUG": "INFO",
               "TUTTI_DEBUG_SUBSYS": "GRAPH", **(env or {})}
        thread = threading.Thread(target=hosts.run_all, args=(call,),
                                  kwargs={"timeout": seconds, "out": lines, "env": env})
        thread.start()
        return thread

    def rates(self, lines, begin, end):
        """GB/s of what was measured wholly in between, two of a row; the data was right."""
        rows = []
        before = 0
        for at, text in lines.all():
            numbers = re.findall(r"(\d+) +\d+\.\d+ +\d+\.\d+ +(\S+)", text)
            if len(numbers) != 2:
                continue
            self.assertEqual([wrong for _, wrong in numbers], ["0", "0"], text)
            if begin <= before and at <= end:
                rows += [BYTES / int(us) / 1e3 for us, _ in numbers]
            before = at
        return rows

    def test_a_cable_that_slows(self):
        with Hosts("star:1,1,1,1") as hosts:
            lines = Lines()
            run = self.run_meanwhile(hosts, lines, 45)
            try:
                self.assertTrue(lines.await_one(r" float +sum.* \d+ +\d+\.\d+ ", 25), lines.text())
                hosts.reshape(3, SLOW)
                slowed = time.monotonic()
                found = lines.await_one(r"replanned from operation \d+ on", 15)
                self.assertTrue(found, lines.text())
                time.sleep(SETTLED + 6)
            finally:
                hosts.clear()
                run.join()
            said = lines.find(r"\[(\d)\].*replanned from operation (\d+) on.*-> switch0 at ")
            first = said[0][1][2]
            self.assertEqual({match[1] for _, match in said if match[2] == first}, set("0123"),
                             lines.text())
            self.assertRegex(said[0][1].string, r"link (r3 on h3#3 -> switch0|switch0 -> r3)")
            replanned = said[0][0]
            self.assertLess(replanned - slowed, 12)
            old = self.rates(lines, slowed, replanned)
            new = self.rates(lines, replanned + SETTLED, time.monotonic())
            print(f"replanned after {replanned - slowed:.1f} s; bound {BOUND:.4f}, before "
                  f"{max(old, default=0):.4f}, then {sorted(new)} GB/s", file=sys.stderr)
            # What was planned for equal cables sends one and a half vectors over each.
            self.assertGreaterEqual(max(new), 0.8 * BOUND, lines.text())
            self.assertGreater(max(new), 1.1 * max(old, default=0), lines.text())

    def test_never_without_a_reason(self):
        """Flows that share links are as fast as planned, on a machine that is busy, too."""
        with Hosts("star:1,1,1,0.25") as hosts:
            lines = Lines()
            self.run_meanwhile(hosts, lines, 18, {}, 32 << 20).join()
            self.assertTrue(lines.find(r" float +sum.* \d+ +\d+\.\d+ "), lines.text())
            self.assertFalse(lines.find("replanned"), lines.text())


if __name__ == "__main__":
    try:
        fixture.check_allowed()
    except fixture.NotAllowed as reason:
        print(f"skipped: {reason}")
        sys.exit(fixture.SKIPPED)
    unittest.main(verbosity=2)
