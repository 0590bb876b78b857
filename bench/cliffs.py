#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules that the times of collectives keep if no algorithm is missing and none is chosen badly.

Every launch measures all collectives at all sizes twice, one pass after the other. Both sides of a rule come from the
same pass, or, where they need different numbers of ranks, from launches of the same round; the figure of a rule is the
median of its ratios, left over right. The two passes are the same measurement: the ratio between them is noise, and its
95th percentile over all points is the floor. A rule is broken if its figure is above 1 + floor and at least three of
four ratios are above 1. With hundreds of comparisons some are by accident: broken significantly is a rule whose ratios are
above 1 so often that a coin would do it in less than 5 % of all such runs (a sign test, times the number of comparisons;
14 ratios, seven rounds, of 600 comparisons must all be). Exit status 0 if none is, 1 if some are.

More ranks are compared where each has the same work: a row of a scatter becomes shorter with them.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

COLLECTIVES = ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "scatter", "gather", "all_to_all"]
# left <= the sum of the right, all of the same size (the larger of a rank's whole send and receive buffer)
DETOURS = [
    ("all_reduce", ["reduce_scatter", "all_gather"]),
    ("all_reduce", ["reduce", "broadcast"]),
    ("broadcast", ["scatter", "all_gather"]),
    ("broadcast", ["all_reduce"]),
    ("reduce_scatter", ["all_reduce"]),
    ("reduce_scatter", ["reduce", "scatter"]),
    ("reduce", ["all_reduce"]),
    ("reduce", ["reduce_scatter", "gather"]),
    ("all_gather", ["all_to_all"]),
    ("all_gather", ["gather", "broadcast"]),
    ("scatter", ["broadcast"]),
    ("gather", ["all_gather"]),
]
ROWS = ["reduce_scatter", "all_gather", "scatter", "gather", "all_to_all"]
LEAST_FLOOR = 0.03
ACCIDENT = 0.05
CORES = len(os.sched_getaffinity(0))


def launch(options, over, ranks):
    """[{(collective, bytes): microseconds}] of the two passes."""
    shared = tempfile.NamedTemporaryFile(prefix="tutti-cliffs-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    environment = {**os.environ, "TUTTI_TRANSPORTS": over, "MEASURE_STAGE": shared.name}
    if over == "tcp":
        environment["TUTTI_INTERFACES"] = "lo"
    command = [options.tutti, "run", "-n", str(ranks), "--no-prefix", "--bind", "core" if ranks <= CORES else "none",
               options.measure, ",".join(2 * COLLECTIVES), ",".join(map(str, options.bytes)), str(options.iterations), "0"]
    with shared:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit("cliffs: %s\n%s" % (" ".join(command), done.stderr))
    passes = [{}, {}]
    for line in done.stdout.splitlines():
        collective, size, us = line.split()[:3]
        key = (collective, int(size))
        passes[1 if key in passes[0] else 0][key] = float(us)
    return passes


def rules(ranks, bytes_):
    """(text, [left], [right]) where a side is a list of (ranks, collective, bytes) to be added."""
    for p in ranks:
        for left, right in DETOURS:
            for n in bytes_:
                yield "%s <= %s" % (left, " + ".join(right)), [(p, left, n)], [(p, r, n) for r in right]
        for c in COLLECTIVES:
            for n, more in zip(bytes_, bytes_[1:]):
                yield "T(n) <= T(%dn)" % (more // n), [(p, c, n)], [(p, c, more)]
    for p, more in zip(ranks, ranks[1:]):
        for c in sorted(set(COLLECTIVES) - set(ROWS)):
            for n in bytes_:
                yield "T(p) <= T(p+%d)" % (more - p), [(p, c, n)], [(more, c, n)]


def noise(samples):
    """The 95th percentile of what the two passes differ by."""
    off = []
    for rounds in samples.values():
        off += [abs(statistics.median(a[k] / b[k] for a, b in rounds) - 1) for k in rounds[0][0]]
    return max(LEAST_FLOOR, sorted(off)[int(0.95 * (len(off) - 1))])


def by_accident(above, n):
    """How likely a coin shows heads so often in n throws, or more."""
    return sum(math.comb(n, k) for k in range(above, n + 1)) / 2 ** n


def judge(over, samples, options, floor):
    broken, checked = [], sum(1 for _ in rules(options.ranks, options.bytes))
    for text, left, right in rules(options.ranks, options.bytes):
        def side(points, turn, half):
            return sum(samples[p][turn][half][(c, n)] for p, c, n in points)

        pairs = [(side(left, t, h), side(right, t, h)) for t in range(options.rounds) for h in range(2)]
        ratios = [a / b for a, b in pairs]
        figure = statistics.median(ratios)
        above = sum(r > 1 for r in ratios)
        if figure > 1 + floor and above >= 0.75 * len(ratios):
            broken.append({"over": over, "rule": text, "ranks": left[0][0], "collective": left[0][1],
                           "bytes": left[0][2], "ratio": round(figure, 3),
                           "significant": checked * by_accident(above, len(ratios)) < ACCIDENT,
                           "left_us": round(statistics.median(a for a, _ in pairs), 2),
                           "right_us": round(statistics.median(b for _, b in pairs), 2)})
    return broken, checked


def numbers(text):
    return sorted(int(word) for word in text.split(","))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tutti")
    parser.add_argument("measure")
    parser.add_argument("--ranks", type=numbers, default=[2, 3, 4, 5])
    parser.add_argument("--over", type=lambda s: s.split(","), default=["shm", "tcp"])
    parser.add_argument("--bytes", type=numbers, default=[64, 1024, 8192, 65536, 524288, 4194304])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--json")
    options = parser.parse_args()
    report = {"settings": [], "broken": []}
    for over in options.over:
        samples = {p: [] for p in options.ranks}
        for turn in range(options.rounds):
            for p in options.ranks if turn % 2 == 0 else options.ranks[::-1]:
                if sys.stderr.isatty():
                    print("\r\033[K%s: round %d of %d, %d ranks" % (over, turn + 1, options.rounds, p), end="",
                          file=sys.stderr, flush=True)
                samples[p].append(launch(options, over, p))
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        floor = noise(samples)
        broken, checked = judge(over, samples, options, floor)
        broken.sort(key=lambda b: -b["ratio"])
        significant = sum(b["significant"] for b in broken)
        report["settings"].append({"over": over, "ranks": options.ranks, "floor": round(floor, 3), "checked": checked,
                                   "broken": len(broken), "significant": significant})
        report["broken"] += broken
        print("# over %s: %d comparisons, %d broken by more than the noise of %.0f %%, %d significantly (*)" %
              (over, checked, len(broken), 100 * floor, significant))
        for b in broken:
            print("%s %5.2f  %-42s %d ranks, %s, %d bytes: %.2f us, not above %.2f us" %
                  ("*" if b["significant"] else " ", b["ratio"], b["rule"], b["ranks"], b["collective"], b["bytes"], b["left_us"], b["right_us"]))
        sys.stdout.flush()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
    return 1 if any(b["significant"] for b in report["broken"]) else 0


if __name__ == "__main__":
    sys.exit(main())
