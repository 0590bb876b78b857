#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what `meson test` ran: tally.py FOLDER. Prints "N passed, N failed[, N skipped]" and the names of what failed.

Cases inside a test program count one by one (meson writes them as JUnit). A program that failed without a failed case,
because it crashed or ran out of time, counts as one failure. Exit status 1 if anything failed or nothing ran.

tally.py --failed FOLDER prints the names of the programs that failed, one a line, as `meson test` takes them.
tally.py FOLDER NAME... counts the failures of those programs as passed, if they are of a suite in which the machine's
load may decide: they are unsteady, not broken. A wrong number or a race that was seen once is never forgiven.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as tree

GOOD = ("OK", "SKIP", "EXPECTEDFAIL")
LOADED = {"fault", "fabric", "torch", "cli"}
EXACT = {"job", "conformance", "race", "unit", "plan"}


def cases(logs):
    """(program, case, outcome) of every case."""
    for suite in tree.parse(logs / "testlog.junit.xml").getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            yield suite.get("name"), case.get("name"), outcome


def programs(logs):
    """(name as meson takes it, name in the JUnit file, result, may the machine's load decide) of every program."""
    for line in (logs / "testlog.json").read_text().splitlines():
        test = json.loads(line)
        suites, _, name = test["name"].rpartition(" / ")
        kinds = set(suites.rpartition(":")[2].strip().split("+"))
        loaded = bool(LOADED & kinds) and not EXACT & kinds and not name.strip().endswith("operations")
        yield name.strip(), name.rsplit("/", 1)[-1].strip(), test["result"], loaded


def main():
    arguments = sys.argv[1:]
    only_names = arguments[0] == "--failed"
    logs = pathlib.Path(arguments[-1] if only_names else arguments[0]) / "meson-logs"
    if only_names:
        for name, _, result, _ in programs(logs):
            if result not in GOOD:
                print(name)
        return 0

    forgiven = {short for name, short, _, loaded in programs(logs) if loaded and name in arguments[1:]}
    count = {"passed": 0, "failed": 0, "skipped": 0}
    named = []
    for program, case, outcome in cases(logs):
        where = f"{program}: {case}"
        if outcome == "failed" and any(short in where for short in forgiven):
            outcome = "passed"
        count[outcome] += 1
        if outcome == "failed":
            named.append(where)
    for name, short, result, _ in programs(logs):
        if result not in GOOD and short not in forgiven and not any(short in known for known in named):
            count["failed"] += 1
            named.append(f"{name}: {result}")
    for name in named:
        print("failed:", name)
    line = f"{count['passed']} passed, {count['failed']} failed"
    print(line + (f", {count['skipped']} skipped" if count["skipped"] else ""))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
