#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench/regret.c as several jobs and sums up.

regret(point) = automatic / best - 1: the automatic choice's figure is that of its first run, the best is the fastest of
all algorithms and of the two automatic runs, so that none is below 0. The floor is the same between two runs of the
automatic choice: |first / second - 1|. Where the best algorithm is the chosen one, what is left of the regret is that
noise too.

Points have numbers, from 0; the jobs take turns at them. With --save FILE what is measured is added to FILE, a line of JSON
for each point, and a later measurement of the same point replaces the earlier one; --from FILE sums up what is there.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

CORES = len(os.sched_getaffinity(0))


def text_of(point):
    return "%s of %d bytes, %s%s, %d ranks over %s" % (point["collective"], point["bytes"], point["dtype"],
                                                      ", in place" if point["in_place"] else "", point["ranks"], point["over"])


def environment_of(over):
    environment = {**os.environ, "TUTTI_TRANSPORTS": over}
    if over == "tcp":
        environment["TUTTI_INTERFACES"] = "lo"
    return environment


def run(options, job, seed, numbers):
    """Measures points of one job; a list of dictionaries."""
    ranks, over = int(job.split(":")[0]), job.split(":")[1]
    shared = tempfile.NamedTemporaryFile(prefix="tutti-regret-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    command = [os.path.join(options.folder, "src", "cli", "tutti"), "run", "-n", str(ranks), "--no-prefix", "--bind",
               "core" if ranks <= CORES else "none", os.path.join(options.folder, "bench", "regret-points"), str(seed),
               ",".join(map(str, numbers)), str(options.repetitions), str(options.most)]
    with shared:
        done = subprocess.run(command, env={**environment_of(over), "MEASURE_STAGE": shared.name}, capture_output=True,
                              text=True, check=False)
    if done.returncode != 0:
        sys.exit("%s\n%s" % (" ".join(command), done.stderr))
    found = []
    for line in done.stdout.splitlines():
        words = line.split()
        prices = [(word.split("=")[0], *map(float, word.split("=")[1].split(":"))) for word in words[9:]]
        if prices:
            found.append({"seed": str(seed), "number": int(words[0]), "ranks": ranks, "over": over, "collective": words[1],
                          "bytes": int(words[2]), "dtype": words[3], "in_place": words[4] == "1", "chosen": words[5],
                          "automatic": float(words[6]), "again": float(words[7]), "nothing": float(words[8]),
                          "us": {name: us for name, us, _ in prices},
                          "predicted": {name: predicted for name, _, predicted in prices}})
    print("# %d ranks over %s: %d points" % (ranks, over, len(found)), file=sys.stderr)
    if options.save:
        with open(options.save, "a", encoding="utf-8") as file:
            for point in found:
                file.write(json.dumps(point) + "\n")
    return found


def read(path):
    points = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            point = json.loads(line)
            points[point["seed"], point["number"], point["ranks"], point["over"]] = point
    return list(points.values())


def add_options(parser, points, repetitions, jobs):
    parser.add_argument("folder", help=argparse.SUPPRESS)
    parser.add_argument("--points", default=points, help="how many, or which: A-B (%s)" % points)
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--most", type=int, default=4 << 20, help="bytes of the largest buffer (4194304)")
    parser.add_argument("--jobs", default=jobs, help="RANKS:TRANSPORT,... (%s)" % jobs)
    parser.add_argument("--save", metavar="FILE", help="add what is measured to FILE")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing, sum up FILE")


def shares(options):
    """[(job, the numbers of its points)]"""
    first, last = (options.points.split("-") if "-" in options.points else ("0", str(int(options.points) - 1)))
    jobs = options.jobs.split(",")
    wanted = range(int(first), int(last) + 1)
    return [(job, [n // len(jobs) for n in wanted if n % len(jobs) == k]) for k, job in enumerate(jobs)]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def regret_of(point):
    return point["automatic"] / min(point["automatic"], point["again"], *point["us"].values()) - 1


def floor_of(point):
    return abs(point["automatic"] / point["again"] - 1)


def report(found, repetitions):
    regret, floor = [regret_of(p) for p in found], [floor_of(p) for p in found]
    print("%d points, %d repetitions, %d cores" % (len(found), repetitions, CORES))
    print("%-22s %8s %8s %8s" % ("", "mean", "p95", "largest"))
    for name, values in (("regret", regret), ("noise (A/A)", floor)):
        print("%-22s %7.1f%% %7.1f%% %7.1f%%" % (name, 100 * sum(values) / len(values), 100 * percentile(values, 0.95),
                                                 100 * max(values)))
    beyond = sum(r > percentile(floor, 0.95) for r in regret)
    print("beyond the noise's 95th percentile: %d points (%.1f %%; 5 %% would be noise)" %
          (beyond, 100 * beyond / len(regret)))
    print("\nby job:")
    for job in sorted({(p["over"], p["ranks"]) for p in found}):
        mine = [p for p in found if (p["over"], p["ranks"]) == job]
        print("  %d ranks over %s: %d points, regret %.1f %%, noise %.1f %%" %
              (job[1], job[0], len(mine), 100 * sum(map(regret_of, mine)) / len(mine),
               100 * sum(map(floor_of, mine)) / len(mine)))
    print("\nworst points:")
    for point in sorted(found, key=regret_of, reverse=True)[:20]:
        best = min(point["us"], key=point["us"].get)
        print("  %5.0f %%  (noise %3.0f %%)  %s: automatic (%s) %.2f us, %s %.2f us" %
              (100 * regret_of(point), 100 * floor_of(point), text_of(point), point["chosen"], point["automatic"], best,
               point["us"][best]))


def main():
    parser = argparse.ArgumentParser(description="The regret of the automatic choice.")
    add_options(parser, "300", 31, "2:shm,2:tcp,3:shm,4:shm,4:tcp,8:shm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=float, metavar="PERCENT",
                        help="measure the points of --from FILE again whose regret is above PERCENT: most are accidents")
    options = parser.parse_args()
    if options.source and options.again is None:
        report(read(options.source), options.repetitions)
        return
    if options.source:
        options.save = options.source
        worst = [p for p in read(options.source) if 100 * regret_of(p) > options.again]
        for job in sorted({(p["ranks"], p["over"], p["seed"]) for p in worst}):
            run(options, "%d:%s" % job[:2], job[2],
                sorted(p["number"] for p in worst if (p["ranks"], p["over"], p["seed"]) == job))
        report(read(options.source), options.repetitions)
        return
    found = []
    for k, (job, numbers) in enumerate(shares(options)):
        if numbers:
            found += run(options, job, options.seed * 1000 + k, numbers)
    report(found, options.repetitions)


if __name__ == "__main__":
    main()
