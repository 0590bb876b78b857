#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench/regret.c as several jobs and sums up.

regret(point) = automatic / best - 1: the automatic choice's figure is that of its first run, the best is the fastest of
all algorithms and of the two automatic runs, so that none is below 0. What noise alone would make of it is the floor,
the same between two runs of the automatic choice (A/A): floor(point) = automatic / the faster of the two - 1, of the two
orders the worse. Three figures are given:

    regret           as it is measured, with the noise
    above the floor  max(0, regret - floor) of each point
    certain          what is left if the automatic choice took as little, and the best as much, as their medians can be
                     with 95 % confidence each; 0 for most points

The rule for accidents, laid down before anything is measured: every point whose regret or floor is above 10 % is measured
once more, with three times the repetitions, and only the second measurement counts, whatever it says (--once: the first).

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
SUSPICIOUS = 0.1
MOST_REPETITIONS = 200


def text_of(point):
    return "%s of %d bytes, %s%s, %d ranks over %s" % (point["collective"], point["bytes"], point["dtype"],
                                                      ", in place" if point["in_place"] else "", point["ranks"], point["over"])


def environment_of(over):
    environment = {**os.environ, "TUTTI_TRANSPORTS": over}
    if over == "tcp":
        environment["TUTTI_INTERFACES"] = "lo"
    return environment


def run(options, job, seed, numbers, repetitions):
    """Measures points of one job; a list of dictionaries."""
    ranks, over = int(job.split(":")[0]), job.split(":")[1]
    shared = tempfile.NamedTemporaryFile(prefix="tutti-regret-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    command = [os.path.join(options.folder, "src", "cli", "tutti"), "run", "-n", str(ranks), "--no-prefix", "--bind",
               "core" if ranks <= CORES else "none", os.path.join(options.folder, "bench", "regret-points"), str(seed),
               ",".join(map(str, numbers)), str(repetitions), str(options.most)]
    with shared:
        done = subprocess.run(command, env={**environment_of(over), "MEASURE_STAGE": shared.name}, capture_output=True,
                              text=True, check=False)
    if done.returncode != 0:
        sys.exit("%s\n%s" % (" ".join(command), done.stderr))
    found = []
    for line in done.stdout.splitlines():
        words = line.split()
        figures = {word.split("=")[0]: list(map(float, word.split("=")[1].split(":"))) for word in words[7:]}
        algorithms = [name for name in figures if name not in ("automatic", "again", "nothing")]
        if algorithms:
            found.append({"seed": str(seed), "number": int(words[0]), "ranks": ranks, "over": over, "collective": words[1],
                          "bytes": int(words[2]), "dtype": words[3], "in_place": words[4] == "1", "chosen": words[5],
                          "repetitions": int(words[6]), "automatic": figures["automatic"][0], "again": figures["again"][0],
                          "nothing": figures["nothing"][0], "us": {name: figures[name][0] for name in algorithms},
                          "range": {name: figures[name][1:3] for name in figures},
                          "predicted": {name: figures[name][3] for name in algorithms}})
    print("# %d ranks over %s: %d points" % (ranks, over, len(found)), file=sys.stderr)
    return found


def key_of(point):
    return point["seed"], point["number"], point["ranks"], point["over"]


def save(options, found):
    if options.save:
        with open(options.save, "a", encoding="utf-8") as file:
            for point in found:
                file.write(json.dumps(point) + "\n")


def read(path):
    """Of each point what was measured last."""
    points = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            point = json.loads(line)
            points[key_of(point)] = point
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


def best_of(point):
    """(name, microseconds) of the fastest."""
    return min([("automatic", point["automatic"]), ("again", point["again"]), *point["us"].items()], key=lambda item: item[1])


def regret_of(point):
    return point["automatic"] / best_of(point)[1] - 1


def floor_of(point):
    return max(point["automatic"], point["again"]) / min(point["automatic"], point["again"]) - 1


def above_of(point):
    return max(0, regret_of(point) - floor_of(point))


def certain_of(point):
    least = min(point["range"]["automatic"][0], point["range"]["again"][0])
    return max(0, least / point["range"][best_of(point)[0]][1] - 1)


def put_figures(name, values):
    print("%-26s %6.1f%% %6.1f%% %6.1f%%" % (name, 100 * sum(values) / len(values), 100 * percentile(values, 0.95),
                                            100 * max(values)))


def report(found):
    twice = [p for p in found if "before" in p]
    print("%d points, %d cores; %d of them were measured again" % (len(found), CORES, len(twice)))
    print("%-26s %7s %7s %7s" % ("", "mean", "p95", "largest"))
    if twice:
        put_figures("regret, before that", [p["before"][0] if "before" in p else regret_of(p) for p in found])
        put_figures("floor (A/A), before that", [p["before"][1] if "before" in p else floor_of(p) for p in found])
    put_figures("regret", [regret_of(p) for p in found])
    put_figures("floor (A/A)", [floor_of(p) for p in found])
    put_figures("above the floor", [above_of(p) for p in found])
    put_figures("certain", [certain_of(p) for p in found])
    print("points with a certain regret: %d of %d" % (sum(certain_of(p) > 0 for p in found), len(found)))
    print("\nby job:")
    for job in sorted({(p["over"], p["ranks"]) for p in found}):
        mine = [p for p in found if (p["over"], p["ranks"]) == job]
        print("  %d ranks over %s: %d points, regret %.1f %%, floor %.1f %%, above it %.1f %%" %
              (job[1], job[0], len(mine), *(100 * sum(map(f, mine)) / len(mine) for f in (regret_of, floor_of, above_of))))
    print("\nworst points:")
    for point in sorted(found, key=above_of, reverse=True)[:20]:
        best, us = best_of(point)
        print("  %5.0f %%  (floor %3.0f %%, certain %3.0f %%)  %s: automatic (%s) %.2f us, %s %.2f us" %
              (100 * regret_of(point), 100 * floor_of(point), 100 * certain_of(point), text_of(point), point["chosen"],
               point["automatic"], best, us))


def measure_again(options, found):
    """Suspicious points of the jobs asked for, once."""
    jobs = [(int(job.split(":")[0]), job.split(":")[1]) for job in options.jobs.split(",")]
    worst = [p for p in found if max(regret_of(p), floor_of(p)) > SUSPICIOUS and "before" not in p and
             (p["ranks"], p["over"]) in jobs]
    repetitions = min(3 * options.repetitions, MOST_REPETITIONS)
    second = {}
    for job in sorted({(p["ranks"], p["over"], p["seed"]) for p in worst}):
        mine = {p["number"]: p for p in worst if (p["ranks"], p["over"], p["seed"]) == job}
        for point in run(options, "%d:%s" % job[:2], job[2], sorted(mine), repetitions):
            point["before"] = [regret_of(mine[point["number"]]), floor_of(mine[point["number"]])]
            second[key_of(point)] = point
    save(options, second.values())
    return [second.get(key_of(p), p) for p in found]


def main():
    parser = argparse.ArgumentParser(description="The regret of the automatic choice.")
    add_options(parser, "300", 31, "2:shm,2:tcp,3:shm,4:shm,4:tcp,8:shm")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--once", action="store_true", help="do not measure suspicious points again")
    parser.add_argument("--again", action="store_true", help="do it now with those of --from FILE")
    options = parser.parse_args()
    found = read(options.source) if options.source else []
    if options.source:
        options.save = options.source
    else:
        for k, (job, numbers) in enumerate(shares(options)):
            if numbers:
                mine = run(options, job, options.seed * 1000 + k, numbers, options.repetitions)
                save(options, mine)
                found += mine
    if options.again or not (options.once or options.source):
        found = measure_again(options, found)
    report(found)


if __name__ == "__main__":
    main()
