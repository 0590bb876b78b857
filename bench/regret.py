#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs bench/regret.c as several jobs and sums up.

regret(point) = automatic / best - 1: the automatic choice's figure is that of its first run, the best is the fastest of
all algorithms and of the two automatic runs, so that none is below 0. The floor is the same between two runs of the
automatic choice: |first / second - 1|. Where the best algorithm is the chosen one, what is left of the regret is that
noise too.
"""
import argparse
import os
import subprocess
import sys
import tempfile

CORES = len(os.sched_getaffinity(0))


def run(options, ranks, over, points, seed):
    """[(text, automatic, again, {algorithm: us})]"""
    shared = tempfile.NamedTemporaryFile(prefix="tutti-regret-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    environment = {**os.environ, "TUTTI_TRANSPORTS": over, "MEASURE_STAGE": shared.name}
    if over == "tcp":
        environment["TUTTI_INTERFACES"] = "lo"
    command = [os.path.join(options.folder, "src", "cli", "tutti"), "run", "-n", str(ranks), "--no-prefix", "--bind",
               "core" if ranks <= CORES else "none", os.path.join(options.folder, "bench", "regret-points"), str(seed),
               str(points), str(options.repetitions), str(options.most)]
    with shared:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit("regret: %s\n%s" % (" ".join(command), done.stderr))
    found = []
    for line in done.stdout.splitlines():
        words = line.split()
        times = {word.split("=")[0]: float(word.split("=")[1]) for word in words[6:]}
        text = "%s of %s bytes, %s%s, %d ranks over %s" % (words[0], words[1], words[2],
                                                          ", in place" if words[3] == "1" else "", ranks, over)
        if times:
            found.append((text, float(words[4]), float(words[5]), times))
    return found


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser(description="The regret of the automatic choice.")
    parser.add_argument("folder", help=argparse.SUPPRESS)
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=4 << 20, help="bytes of the largest buffer (4194304)")
    parser.add_argument("--jobs", default="2:shm,2:tcp,3:shm,4:shm,4:tcp,8:shm")
    options = parser.parse_args()
    jobs = [(int(job.split(":")[0]), job.split(":")[1]) for job in options.jobs.split(",")]
    found = []
    for k, (ranks, over) in enumerate(jobs):
        points = options.points // len(jobs) + (k < options.points % len(jobs))
        found += run(options, ranks, over, points, options.seed * 1000 + k)
        print("# %d ranks over %s: %d points" % (ranks, over, points), file=sys.stderr)
    regret = [first / min(first, again, *times.values()) - 1 for _, first, again, times in found]
    floor = [abs(first / again - 1) for _, first, again, _ in found]
    print("%d points, %d repetitions, %d cores" % (len(found), options.repetitions, CORES))
    print("%-22s %8s %8s %8s" % ("", "mean", "p95", "largest"))
    for name, values in (("regret", regret), ("noise (A/A)", floor)):
        print("%-22s %7.1f%% %7.1f%% %7.1f%%" % (name, 100 * sum(values) / len(values), 100 * percentile(values, 0.95),
                                                 100 * max(values)))
    beyond = sum(r > percentile(floor, 0.95) for r in regret)
    print("beyond the noise's 95th percentile: %d points (%.1f %%; 5 %% would be noise)" %
          (beyond, 100 * beyond / len(regret)))
    print("\nworst points:")
    for r, f, (text, first, _, times) in sorted(zip(regret, floor, found), key=lambda x: -x[0])[:20]:
        best = min(times, key=times.get)
        print("  %5.0f %%  (noise %3.0f %%)  %s: automatic %.2f us, %s %.2f us" %
              (100 * r, 100 * f, text, first, best, times[best]))


main()
