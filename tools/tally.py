#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what `meson test` ran: tally.py FOLDER. Prints "N passed, N failed[, N skipped]" and the names of what failed.

Cases inside a test program count one by one (meson writes them as JUnit). A program that failed without a failed case,
because it crashed or ran out of time, counts as one failure. Exit status 1 if anything failed or nothing ran.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as tree

GOOD = ("OK", "SKIP", "EXPECTEDFAIL")


def cases(logs):
    """(program, case, outcome) of every case."""
    for suite in tree.parse(logs / "testlog.junit.xml").getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            yield suite.get("name"), case.get("name"), outcome


def main():
    logs = pathlib.Path(sys.argv[1]) / "meson-logs"
    count = {"passed": 0, "failed": 0, "skipped": 0}
    named = []
    for program, case, outcome in cases(logs):
        count[outcome] += 1
        if outcome == "failed":
            named.append(f"{program}: {case}")
    for line in (logs / "testlog.json").read_text().splitlines():
        test = json.loads(line)
        known = any(test["name"].rsplit("/", 1)[-1].strip() in name for name in named)
        if test["result"] not in GOOD and not known:
            count["failed"] += 1
            named.append(f"{test['name']}: {test['result']}")
    for name in named:
        print("failed:", name)
    line = f"{count['passed']} passed, {count['failed']} failed"
    print(line + (f", {count['skipped']} skipped" if count["skipped"] else ""))
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
