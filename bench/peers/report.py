# SPDX-License-Identifier: Apache-2.0
"""What came out: a table for people, CSV for programs, SVG for the README.

A sample is (microseconds, p99, handoff in ns). The host may move a virtual machine's cores: samples taken with the
cores near each other and far apart are never mixed.
"""
import csv
import shutil
import statistics
import subprocess

FAR = 1.7  # times the least handoff of the run


def split_by_distance(results):
    """Adds "near", "far" or "" (no handoff: more ranks than cores) to every sample of
    results[cell][name] = [(us, p99, handoff), ...]: a dictionary of the same shape one level deeper."""
    handoffs = [s[2] for cell in results.values() for samples in cell.values() for s in samples if s[2] > 0]
    least = min(handoffs, default=0)
    split = {}
    for cell, names in results.items():
        for name, samples in names.items():
            for sample in samples:
                where = "" if sample[2] == 0 or least == 0 else "near" if sample[2] < FAR * least else "far"
                split.setdefault(cell, {}).setdefault(where, {}).setdefault(name, []).append(sample)
    return split


def medians(split_cell):
    """(where, {name: median us}) of the distance at which most contestants, Tutti among them, were seen. One that has
    no handoff of its own (it shares its cores with its own threads) is compared with all."""
    everywhere = split_cell.get("", {})
    best, best_where = {}, ""
    for where, names in sorted(split_cell.items(), reverse=True):
        middle = {n: statistics.median(s[0] for s in v) for n, v in {**everywhere, **names}.items()}
        if "Tutti" in middle and len(middle) > len(best):
            best, best_where = middle, where
    return best_where, best


def table(options, split, over, ranks, order):
    """Prints it; gives the cells in which a peer is faster."""
    print("\n%d ranks over %s%s: microseconds, median of %d rounds; ratio = best peer / Tutti" %
          (ranks, over, ", buffers not in cache" if options.cold else "", options.rounds))
    print("%-15s %9s %-5s" % ("collective", "bytes", "cores") + "".join("  %*s" % (max(8, len(n)), n) for n in order) + "   ratio")
    lost = []
    for collective in options.collectives:
        for size in ([8] if collective == "barrier" else options.bytes):
            where, middle = medians(split.get((over, ranks, collective, size), {}))
            peers = {n: v for n, v in middle.items() if n != "Tutti"}
            line = "%-15s %9d %-5s" % (collective, size, where)
            line += "".join("  %*s" % (max(8, len(n)), "%.2f" % middle[n] if n in middle else "-") for n in order)
            if "Tutti" in middle and peers:
                winner = min(peers, key=peers.get)
                ratio = peers[winner] / middle["Tutti"]
                line += " %7.2f%s" % (ratio, "" if ratio >= 1 else "  < " + winner)
                if ratio < 1:
                    lost.append((over, ranks, collective, size, winner, ratio))
            print(line, flush=True)
    return lost


def write_csv(path, results, cold):
    with open(path, "w", newline="", encoding="ascii") as file:
        out = csv.writer(file)
        out.writerow(["over", "ranks", "collective", "bytes", "cold_bytes", "library", "round", "us", "p99_us",
                      "handoff_ns"])
        for (over, ranks, collective, size), cell in sorted(results.items()):
            for name, samples in cell.items():
                for k, (us, p99, handoff) in enumerate(samples):
                    out.writerow([over, ranks, collective, size, cold, name, k, "%.3f" % us, "%.3f" % p99,
                                  "%.0f" % handoff])


def gnuplot(script):
    if shutil.which("gnuplot"):
        subprocess.run(["gnuplot"], input=script, text=True, check=False)


COLOURS = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#8d5a97", "#5c5c5c", "#00798c", "#b5651d", "#7f9c2b"]
PANELS = ["all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "scatter", "gather", "all_to_all"]


def plot(path, options, split, over, ranks, order):
    """One panel a collective: how many times longer than Tutti each peer takes, against the size."""
    panels = [c for c in PANELS if c in options.collectives]
    if len(options.bytes) < 2 or not panels:
        return
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    script = ["set terminal svg size %d,%d font 'sans-serif,12' background 'white'" % (330 * columns, 270 * rows + 70),
              "set output '%s'" % path,
              "set multiplot layout %d,%d title \"%d ranks over %s: a peer's time as a multiple of Tutti's (above 1: "
              "Tutti is faster)\" font ',15' margins 0.05,0.985,%.3f,%.3f spacing 0.035,0.1" %
              (rows, columns, ranks, over, 0.12 if rows > 1 else 0.22, 0.88 if rows > 1 else 0.8),
              "set logscale xy 2", "set xrange [%d:%d]" % (min(options.bytes), max(options.bytes)), "set grid lc rgb '#dddddd'", "set yrange [0.25:64]",
              "set format x '%.0b %BB'", "set xtics 64 font ',10'",
              "set ytics ('1/4' 0.25, '1/2' 0.5, '1' 1, '2' 2, '4' 4, '8' 8, '16' 16, '32' 32, '64' 64) font ',10'",
              "set key off"]
    peers = [n for n in order if n != "Tutti"]
    for number, collective in enumerate(panels):
        lines = []
        for k, name in enumerate(peers):
            points = []
            for size in options.bytes:
                middle = medians(split.get((over, ranks, collective, size), {}))[1]
                if name in middle:
                    points.append("%d %f" % (size, min(64, middle[name] / middle["Tutti"])))
            block = "$p%d_%d" % (number, k)
            script.append("%s << END\n%s\nEND" % (block, "\n".join(points)))
            if points:
                lines.append("%s with linespoints pt 7 ps 0.4 lw 1.6 lc rgb '%s'" % (block, COLOURS[k % len(COLOURS)]))
        if number == len(panels) - 1:
            for k, name in enumerate(peers):
                script.append("set label %d \"\\U+25CF %s\" at screen %.4f,0.028 center tc rgb '%s' font ',12'" %
                              (k + 1, name, (k + 0.5) / len(peers), COLOURS[k % len(COLOURS)]))
        script.append("set title '%s' offset 0,-0.6" % collective.replace("_", "-"))
        script.append("plot 1 lw 3 lc rgb '#222222', " + ", ".join(lines))
    gnuplot("\n".join(script + ["unset multiplot", ""]))
