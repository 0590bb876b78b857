#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules that the times of collectives keep if no algorithm is missing and none is chosen badly.

Every launch measures all collectives at all sizes twice, one pass after the other. Both sides of a rule come from the
same pass, or, where they need different numbers of ranks, from launches of the same round; the figure of a rule is the
median of its ratios, left over right. The two passes are the same measurement: the ratio between them is noise, and its
95th percentile over all points is the floor. More ranks are compared where each has the same work: a row of a scatter
becomes shorter with them.

What counts as a violation, laid down before anything is measured:

 1. A rule is broken if its figure is above 1 + floor and at least three of four ratios are above 1. It is broken
    significantly if its ratios are above 1 so often that a coin would do it in less than 5 % of such measurements with as
    many comparisons (sign tests; Holm's correction for all comparisons of the transport).
 2. With hundreds of comparisons some are broken by accident, and others are missed. So all that are broken, significantly
    or not, are measured once more by launches of their own, twice as many rounds, and the second measurement counts,
    whatever it says: a violation is a rule that is broken again, by more than the floor of the first measurement, and
    significantly. Here a ratio is that of a launch, both passes together, as launches are independent and passes are
    not; Holm's correction is for all rules that are measured again.

Both counts are printed; exit status 0 if there is no violation, 1 if there are some.
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


def launch(options, over, ranks, collectives, bytes_):
    """[{(collective, bytes): microseconds}] of the two passes."""
    shared = tempfile.NamedTemporaryFile(prefix="tutti-cliffs-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    environment = {**os.environ, "TUTTI_TRANSPORTS": over, "MEASURE_STAGE": shared.name}
    if over == "tcp":
        environment["TUTTI_INTERFACES"] = "lo"
    command = [options.tutti, "run", "-n", str(ranks), "--no-prefix", "--bind", "core" if ranks <= CORES else "none",
               options.measure, ",".join(2 * collectives), ",".join(map(str, bytes_)), str(options.iterations), "0"]
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


def measure(options, over, rounds, wanted):
    """wanted: {ranks: (collectives, sizes)}; {ranks: [the two passes of each round]}."""
    samples = {p: [] for p in wanted}
    for turn in range(rounds):
        for p in sorted(wanted, reverse=turn % 2 == 1):
            if sys.stderr.isatty():
                print("\r\033[K%s: round %d of %d, %d ranks" % (over, turn + 1, rounds, p), end="", file=sys.stderr, flush=True)
            samples[p].append(launch(options, over, p, *wanted[p]))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return samples


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


def significant(chances):
    """Which of these are below ACCIDENT after Holm's correction."""
    found = [False] * len(chances)
    for k, i in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[i] * (len(chances) - k) >= ACCIDENT:
            break
        found[i] = True
    return found


def judge(compared, samples, floor, halves):
    """A dictionary for each rule that is compared. halves: a launch counts by its passes, else by both together."""
    judged = []
    for text, left, right in compared:
        def side(points, turn, passes):
            return sum(samples[p][turn][half][(c, n)] for p, c, n in points for half in passes) / len(passes)

        turns = range(len(samples[left[0][0]]))
        pairs = [(side(left, t, h), side(right, t, h)) for t in turns for h in ([[0], [1]] if halves else [[0, 1]])]
        ratios = [a / b for a, b in pairs]
        above = sum(r > 1 for r in ratios)
        judged.append({"rule": text, "ranks": left[0][0], "collective": left[0][1], "bytes": left[0][2],
                       "ratio": round(statistics.median(ratios), 3), "chance": by_accident(above, len(ratios)),
                       "broken": statistics.median(ratios) > 1 + floor and above >= 0.75 * len(ratios),
                       "left_us": round(statistics.median(a for a, _ in pairs), 2),
                       "right_us": round(statistics.median(b for _, b in pairs), 2)})
    for one, is_so in zip(judged, significant([j["chance"] for j in judged])):
        one["significant"] = is_so and one["broken"]
    return judged


def measure_again(options, over, suspects):
    wanted = {}
    for _, left, right in suspects:
        for p, c, n in left + right:
            collectives, sizes = wanted.setdefault(p, ([], []))
            collectives += [c] if c not in collectives else []
            sizes += [n] if n not in sizes else []
    return measure(options, over, 2 * options.rounds, {p: (c, sorted(n)) for p, (c, n) in wanted.items()})


def put(mark, one):
    print("%s %5.2f  %-42s %d ranks, %s, %d bytes: %.2f us, not above %.2f us" %
          (mark, one["ratio"], one["rule"], one["ranks"], one["collective"], one["bytes"], one["left_us"], one["right_us"]))


def check(options, over):
    """The report of one transport."""
    compared = list(rules(options.ranks, options.bytes))
    samples = measure(options, over, options.rounds, {p: (COLLECTIVES, options.bytes) for p in options.ranks})
    floor = noise(samples)
    first = judge(compared, samples, floor, True)
    broken = sorted((j for j in first if j["broken"]), key=lambda j: -j["ratio"])
    print("# over %s: %d comparisons, %d broken by more than the noise of %.0f %%, %d significantly (*)" %
          (over, len(compared), len(broken), 100 * floor, sum(j["significant"] for j in broken)))
    for one in broken:
        put("*" if one["significant"] else " ", one)
    sys.stdout.flush()
    suspects = [rule for rule, j in zip(compared, first) if j["broken"]]
    second = []
    if suspects:
        second = judge(suspects, measure_again(options, over, suspects), floor, False)
        print("# measured again, %d rounds: %d broken, violations (significantly, *): %d" %
              (2 * options.rounds, sum(j["broken"] for j in second), sum(j["significant"] for j in second)))
        for one in sorted(second, key=lambda j: -j["ratio"]):
            put("*" if one["significant"] else " ", one)
        sys.stdout.flush()
    return {"over": over, "ranks": options.ranks, "floor": round(floor, 3), "checked": len(compared), "broken": broken,
            "again": second, "violations": sum(j["significant"] for j in second)}


def numbers(text):
    return sorted(int(word) for word in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tutti", help=argparse.SUPPRESS)
    parser.add_argument("measure", help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=numbers, default=[2, 3, 4, 5])
    parser.add_argument("--over", type=lambda s: s.split(","), default=["shm", "tcp"])
    parser.add_argument("--bytes", type=numbers, default=[64, 1024, 8192, 65536, 524288, 4194304])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--json", metavar="FILE", help="write all of it there, too")
    options = parser.parse_args()
    report = [check(options, over) for over in options.over]
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    return 1 if any(one["violations"] for one in report) else 0


if __name__ == "__main__":
    sys.exit(main())
