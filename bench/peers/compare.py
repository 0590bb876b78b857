#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the contestants in turns and compares their medians.

A cell is (over, ranks, collective, bytes). In each round every contestant is run once, in an order that rotates; a
contestant's figure for a cell is the median of its rounds' medians. A ratio is the best peer's figure over Tutti's:
above 1 Tutti is faster.
"""
import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys

COLLECTIVES = ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "scatter", "gather", "all_to_all",
               "barrier"]


def build(folder):
    """One program per library, out of the same measure.c."""
    here = os.path.dirname(os.path.abspath(__file__))
    out = os.path.join(folder, "peers")
    os.makedirs(out, exist_ok=True)
    include = os.path.join(here, "..", "..", "include")
    library = os.path.abspath(os.path.join(folder, "src"))
    jobs = {
        "tutti": ["cc", "-O2", "-I" + include, "measure.c", "peer_tutti.c", "-L" + library, "-l:libtutti.so.0",
                  "-Wl,-rpath," + library],
        "openmpi": ["mpicc.openmpi", "-O2", "measure.c", "peer_mpi.c"],
        "mpich": ["mpicc.mpich", "-O2", "measure.c", "peer_mpi.c"],
    }
    programs = {}
    for name, command in jobs.items():
        programs[name] = os.path.abspath(os.path.join(out, "measure-" + name))
        subprocess.run(command + ["-o", programs[name]], cwd=here, check=True)
    return programs


def contestants(folder, programs, over, ranks, cores):
    """name -> (command prefix, environment)"""
    n = str(ranks)
    crowded = ranks > cores
    tutti = [os.path.join(folder, "src", "cli", "tutti"), "run", "-n", n, "--no-prefix", "--bind",
             "none" if crowded else "core", programs["tutti"]]
    openmpi = ["mpirun.openmpi", "-n", n] + (["--oversubscribe"] if crowded else [])
    openmpi += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    mpich = ["mpiexec.hydra", "-n", n] + ([] if crowded else ["-bind-to", "core"])
    if over == "shm":
        return {
            "Tutti": (tutti, {"TUTTI_TRANSPORTS": "shm"}),
            "Open MPI": (openmpi + [programs["openmpi"]], {}),
            "Open MPI copy": (openmpi + ["--mca", "btl_vader_single_copy_mechanism", "none", programs["openmpi"]], {}),
            "Open MPI coll/sm": (openmpi + ["--mca", "coll_sm_priority", "100", programs["openmpi"]], {}),
            "MPICH": (mpich + [programs["mpich"]], {}),
        }
    return {
        "Tutti": (tutti, {"TUTTI_TRANSPORTS": "tcp", "TUTTI_INTERFACES": "lo"}),
        "Open MPI": (openmpi + ["--mca", "pml", "ob1", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo",
                                programs["openmpi"]], {}),
        "MPICH": (mpich + [programs["mpich"]],
                  {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "lo"}),
    }


def measure(command, environment, collectives, sizes, iterations, limit):
    """{(collective, bytes): microseconds}, or the reason why there are none."""
    arguments = command + [",".join(collectives), ",".join(str(s) for s in sizes), str(iterations)]
    try:
        done = subprocess.run(arguments, env={**os.environ, **environment}, capture_output=True, text=True,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        return {}, "took more than %d s" % limit
    cells = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in COLLECTIVES:
            cells[(words[0], int(words[1]))] = float(words[2])
    reason = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return cells, reason


def one_setting(options, folder, programs, over, ranks, cores, results):
    names = contestants(folder, programs, over, ranks, cores)
    order = list(names)
    for turn in range(options.rounds):
        for name in order[turn % len(order):] + order[:turn % len(order)]:
            for collective in options.collectives:
                sizes = [8] if collective == "barrier" else options.bytes
                command, environment = names[name]
                cells, reason = measure(command, environment, [collective], sizes, options.iterations, options.limit)
                if reason:
                    print("# %s, %d ranks over %s, %s: %s" % (name, ranks, over, collective, reason), file=sys.stderr)
                for (what, size), us in cells.items():
                    results.setdefault((over, ranks, what, size), {}).setdefault(name, []).append(us)
    return order


def table(options, results, over, ranks, order):
    print("\n%d ranks over %s: microseconds, median of %d rounds; ratio = best peer / Tutti" %
          (ranks, over, options.rounds))
    print("%-15s %10s" % ("collective", "bytes") + "".join(" %17s" % n for n in order) + "   ratio")
    lost = []
    for collective in options.collectives:
        for size in ([8] if collective == "barrier" else options.bytes):
            cell = results.get((over, ranks, collective, size), {})
            middle = {n: statistics.median(v) for n, v in cell.items()}
            peers = {n: v for n, v in middle.items() if n != "Tutti"}
            line = "%-15s %10d" % (collective, size)
            line += "".join(" %17.2f" % middle[n] if n in middle else " %17s" % "-" for n in order)
            if "Tutti" in middle and peers:
                ratio = min(peers.values()) / middle["Tutti"]
                line += " %7.2f%s" % (ratio, "" if ratio >= 1 else "  <")
                if ratio < 1:
                    lost.append((collective, size, ratio))
            print(line)
    return lost


def write_csv(path, results):
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["over", "ranks", "collective", "bytes", "library", "round", "us"])
        for (over, ranks, collective, size), cell in sorted(results.items()):
            for name, values in cell.items():
                for k, us in enumerate(values):
                    out.writerow([over, ranks, collective, size, name, k, "%.3f" % us])


def plot(path, results, over, ranks, order, options):
    """Time against size for all_reduce, one line a library."""
    if not shutil.which("gnuplot") or "all_reduce" not in options.collectives or len(options.bytes) < 2:
        return
    blocks = []
    for name in order:
        rows = ["%d %f" % (s, statistics.median(results[(over, ranks, "all_reduce", s)][name])) for s in options.bytes
                if name in results.get((over, ranks, "all_reduce", s), {})]
        blocks.append("$data%d << END\n%s\nEND\n" % (len(blocks), "\n".join(rows)))
    script = "".join(blocks)
    script += ("set terminal svg size 900,560 font 'sans-serif,14' background 'white'\nset output '%s'\n"
               "set logscale xy\nset xlabel 'bytes'\nset ylabel 'microseconds'\nset key left top\nset grid\n"
               "set title 'all-reduce, %d ranks over %s'\nset format x '%%.0b%%B'\nplot " % (path, ranks, over))
    script += ", ".join("$data%d using 1:2 with linespoints lw %d title '%s'" % (i, 3 if n == "Tutti" else 1, n)
                        for i, n in enumerate(order))
    subprocess.run(["gnuplot"], input=script, text=True, check=False)


def main():
    parser = argparse.ArgumentParser(description="Tutti beside Open MPI and MPICH, in turns.")
    parser.add_argument("folder", help="the build folder")
    parser.add_argument("--ranks", default="2")
    parser.add_argument("--over", default="shm")
    parser.add_argument("--bytes", default="8,1024,65536,1048576,16777216")
    parser.add_argument("--collectives", default=",".join(COLLECTIVES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--limit", type=int, default=60, help="seconds for one program")
    parser.add_argument("--output", default="bench/results")
    options = parser.parse_args()
    options.bytes = [int(b) for b in options.bytes.split(",")]
    options.collectives = options.collectives.split(",")
    cores = len(os.sched_getaffinity(0))
    programs = build(options.folder)
    os.makedirs(options.output, exist_ok=True)
    results, lost = {}, []
    print("# %d cores, load %s" % (cores, os.getloadavg()[0]))
    for over in options.over.split(","):
        for ranks in (int(r) for r in options.ranks.split(",")):
            order = one_setting(options, options.folder, programs, over, ranks, cores, results)
            lost += [(over, ranks) + cell for cell in table(options, results, over, ranks, order)]
            plot(os.path.join(options.output, "all_reduce-%s-%d.svg" % (over, ranks)), results, over, ranks, order,
                 options)
            write_csv(os.path.join(options.output, "peers.csv"), results)
    print("\n%d of %d cells are slower than the best peer" % (len(lost), len(results)))
    for over, ranks, collective, size, ratio in sorted(lost, key=lambda cell: cell[-1]):
        print("  %s, %d ranks, %s of %d bytes: %.2f" % (over, ranks, collective, size, ratio))


main()
