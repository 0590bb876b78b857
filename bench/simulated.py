#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures every algorithm of a grid of calls, and compares with what was predicted.

Two predictions: the closed form that the selector chooses by, and `tutti sim`, which runs the plans in virtual time. Two
algorithms differ if their medians do by more than 10 %, and the ranges in which the medians are with 95 % confidence do not
meet; of such pairs a prediction ranks right those where the same one is the faster. The error is |predicted / measured - 1|
where what measuring costs (the same with no call) is taken off what was measured.
"""
import argparse
import json
import subprocess
import sys

import regret

KINDS = ("closed form", "tutti sim")


def simulate(options, points):
    """Adds what `tutti sim` says of each point: the constants are those of this machine's profile."""
    for point in points:
        command = [options.folder + "/src/cli/tutti", "sim", point["collective"], str(point["bytes"]), "-n",
                   str(point["ranks"]), "--json", "--over", point["over"]]
        done = subprocess.run(command, env=regret.environment_of(point["over"]), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit("%s\n%s" % (" ".join(command), done.stderr))
        prices = json.loads(done.stdout)["sizes"][0]["algorithms"]
        point["simulated"] = {name: prices[name]["us"] for name in point["us"]}
        point["predicted"] = {name: prices[name]["closed_form_us"] for name in point["us"]}


def pairs_of(point):
    names = sorted(point["us"])
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            fast, slow = sorted((a, b), key=point["us"].get)
            if point["us"][slow] > 1.1 * point["us"][fast] and point["range"][slow][0] > point["range"][fast][1]:
                yield fast, slow


def judge(points, kind):
    """(pairs, of them ranked right, errors)"""
    key = "predicted" if kind == KINDS[0] else "simulated"
    right = total = 0
    errors = []
    for point in points:
        if key not in point:
            continue
        for fast, slow in pairs_of(point):
            total += 1
            right += point[key][fast] < point[key][slow]
        errors += [abs(point[key][name] / max(us - point["nothing"], 0.001) - 1) for name, us in point["us"].items()]
    return total, right, errors


def put_line(name, points):
    print("%-34s" % name, end="")
    for kind in KINDS:
        total, right, errors = judge(points, kind)
        if errors:
            print("  %5d %5.1f %% %5.0f %%" % (total, 100 * right / total if total else 100,
                                              100 * regret.percentile(errors, 0.5)), end="")
    print()


def put_worst(points, kind):
    key = "predicted" if kind == KINDS[0] else "simulated"
    wrong = {}
    for point in points:
        if key in point:
            for fast, slow in pairs_of(point):
                if point[key][fast] >= point[key][slow]:
                    name = "%s over %s: %s takes for faster than %s" % (point["collective"], point["over"], slow, fast)
                    wrong.setdefault(name, []).append("%dx%d" % (point["ranks"], point["bytes"]))
    print("\nranked wrong by %s (ranks x bytes):" % kind)
    for name, where in sorted(wrong.items(), key=lambda item: -len(item[1]))[:12]:
        print("  %3d  %s: %s" % (len(where), name, " ".join(where[:6])))


def report(points, show):
    print("%d points; where two algorithms differ:" % len(points))
    print("%-34s  %s" % ("", "     ".join("%-17s" % kind for kind in KINDS)))
    print("%-34s%s" % ("", "  pairs   right  error" * 2))
    put_line("all", points)
    for over, ranks in sorted({(p["over"], p["ranks"]) for p in points}):
        put_line("%d ranks over %s" % (ranks, over), [p for p in points if (p["over"], p["ranks"]) == (over, ranks)])
    for collective in sorted({p["collective"] for p in points}):
        put_line(collective, [p for p in points if p["collective"] == collective])
    for low, high in ((0, 1 << 10), (1 << 10, 1 << 15), (1 << 15, 1 << 20), (1 << 20, 1 << 60)):
        mine = [p for p in points if low <= p["bytes"] < high]
        if mine:
            put_line("%d bytes and more" % low, mine)
    if show:
        for kind in KINDS:
            put_worst(points, kind)


def main():
    parser = argparse.ArgumentParser(description="How well times are predicted.")
    regret.add_options(parser, "432", 21, "2:shm,3:shm,4:shm,2:tcp,3:tcp,4:tcp")
    parser.add_argument("--worst", action="store_true", help="say which pairs are ranked wrong")
    options = parser.parse_args()
    points = []
    if options.source:
        points = regret.read(options.source)
    else:
        for job, numbers in regret.shares(options):
            if numbers:
                mine = regret.run(options, job, "grid", numbers, options.repetitions)
                regret.save(options, mine)
                points += mine
    simulate(options, points)
    report(points, options.worst)


if __name__ == "__main__":
    main()
