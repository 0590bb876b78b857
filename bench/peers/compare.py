#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the contestants in turns and compares their medians.

A cell is (over, ranks, collective, bytes). In each round every contestant is run once, in an order that rotates; a
contestant's figure for a cell is the median of its rounds' medians, taken at one distance of the cores. A ratio is the
best peer's figure over Tutti's: above 1 Tutti is faster.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import contestants
import report
import rig

COLLECTIVES = report.PANELS + ["barrier"]


def powers_of_4(first, last):
    sizes = [first]
    while sizes[-1] * 4 <= last:
        sizes.append(sizes[-1] * 4)
    return sizes


def measure(command, environment, collective, sizes, options):
    """{bytes: (us, p99, handoff)}, and the reason why there are fewer than asked for, if so."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") and not options.hosts else None  # a host has a /dev/shm of its own
    shared = tempfile.NamedTemporaryFile(prefix="tutti-peers-", dir=memory)
    store = tempfile.mkdtemp(prefix="tutti-peers-")
    command = command + [collective, ",".join(str(s) for s in sizes), str(options.iterations), str(options.cold)]
    environment = {**os.environ, **environment, "MEASURE_STAGE": shared.name, "MEASURE_STORE": store}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.limit,
                              check=False)
        status, out, complaints = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, out, complaints = -1, (late.stdout or b"").decode(), "took more than %d s" % options.limit
    finally:
        shared.close()
        shutil.rmtree(store, ignore_errors=True)
    cells = {}
    for line in out.splitlines():
        words = line.split()
        if len(words) == 5 and words[0] == collective:
            cells[int(words[1])] = tuple(float(w) for w in words[2:])
    reason = "" if status == 0 else (complaints.strip().splitlines() or ["status %d" % status])[-1]
    return cells, reason


def one_setting(options, field, over, ranks, results):
    field = {name: how for name, how in field.items() if name == "Tutti" or not options.only or name in options.only}
    order = list(field)
    failed = set()
    for turn in range(options.rounds):
        for collective in options.collectives:
            sizes = [8] if collective == "barrier" else options.bytes
            start = turn % len(order)
            for name in order[start:] + order[:start]:
                if (name, collective) in failed:
                    continue
                cells, reason = measure(*field[name], collective, sizes, options)
                if reason:
                    failed.add((name, collective))
                    contestants.say("%s, %d ranks over %s, %s: %s" % (name, ranks, over, collective, reason))
                for size, sample in cells.items():
                    results.setdefault((over, ranks, collective, size), {}).setdefault(name, []).append(sample)
    return order


def settings(options, programs):
    """(name, how many ranks, who takes part), one after the other."""
    cores = len(os.sched_getaffinity(0))
    for shape in options.hosts:
        hosts, each = (int(n) for n in shape.split("x"))
        with rig.Rig(hosts) as here:
            yield "%d hosts of %d" % (hosts, each), hosts * each, contestants.on_rig(programs, here.folder, hosts, each)
    for over in [] if options.hosts else options.over.split(","):
        for ranks in (int(r) for r in options.ranks.split(",")):
            yield over, ranks, contestants.contestants(programs, over, ranks, ranks > cores)


def main():
    parser = argparse.ArgumentParser(description="Tutti beside its peers, in turns.")
    parser.add_argument("folder", help=argparse.SUPPRESS)
    parser.add_argument("--ranks", default="2", help="comma-separated (2)")
    parser.add_argument("--over", default="shm", help="shm, tcp or both, comma-separated (shm)")
    parser.add_argument("--hosts", default="", help="instead of --over and --ranks: HxR for H make-believe hosts of R ranks, "
                        "each host on one core; comma-separated")
    parser.add_argument("--bytes", default="8,1024,65536,1048576,16777216",
                        help="comma-separated, or FIRST-LAST for every power of 4 between")
    parser.add_argument("--collectives", default=",".join(COLLECTIVES))
    parser.add_argument("--only", default="", help="these peers only, comma-separated, as the table names them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=300, help="at 64 KiB and below; fewer above")
    parser.add_argument("--cold", type=int, default=0, help="MiB through which each rank's buffers rotate (0)")
    parser.add_argument("--no-wheels", action="store_true", help="leave out the libraries of the Python index")
    parser.add_argument("--limit", type=int, default=90, help="seconds for one program")
    parser.add_argument("--output", default="bench/results")
    options = parser.parse_args()
    if "-" in options.bytes:
        options.bytes = powers_of_4(*(int(b) for b in options.bytes.split("-")))
    else:
        options.bytes = [int(b) for b in options.bytes.split(",")]
    options.hosts = [shape for shape in options.hosts.split(",") if shape]
    options.collectives = options.collectives.split(",")
    options.only = [name for name in options.only.split(",") if name]
    options.cold *= 1 << 20
    unknown = [c for c in options.collectives if c not in COLLECTIVES]
    if unknown:
        parser.error("unknown collective %s (there are %s)" % (unknown[0], ", ".join(COLLECTIVES)))
    programs = contestants.Programs(options.folder, not options.no_wheels and not options.hosts)
    if not programs.get("tutti"):
        sys.exit(1)
    os.makedirs(options.output, exist_ok=True)
    results, lost = {}, []
    print("# %d cores, load %.1f" % (len(os.sched_getaffinity(0)), os.getloadavg()[0]))
    for over, ranks, field in settings(options, programs):
        order = one_setting(options, field, over, ranks, results)
        split = report.split_by_distance(results)
        lost += report.table(options, split, over, ranks, order)
        report.plot(os.path.join(options.output, "peers-%s-%d%s.svg" % (over.replace(" ", "-"), ranks, "-cold" if options.cold else "")),
                    options, split, over, ranks, order)
        report.write_csv(os.path.join(options.output, "peers.csv"), results, options.cold)
    print("\n%d of %d cells are slower than the best peer" % (len(lost), len(results)))
    for over, ranks, collective, size, winner, ratio in sorted(lost, key=lambda cell: cell[-1]):
        print("  %s, %d ranks, %s of %d bytes: %.2f (%s)" % (over, ranks, collective, size, ratio, winner))


main()
