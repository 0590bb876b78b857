#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's own tests of torch.distributed, which are installed with it, run against this backend.

	suite.py [--known FILE] [--part I/N] [--list] [-v] [NAME...]

The tests that PyTorch keeps for Gloo or for MPI by name run, too: they are told a name of a backend that equals both of
theirs. FILE lists the tests that fail, one per line: "NAME: cause". Any other failure is one, and so is a test of the list
that passes. The last line is "N passed, N failed, N skipped".
"""
import argparse
import dataclasses
import importlib
import io
import os
import shutil
import sys
import tempfile
import time
import types
import unittest
import warnings

RANKS = "3"


class Chameleon(str):
    """ "tutti", which claims to be "gloo" and "mpi" when it is asked."""

    def __eq__(self, other):
        return str.__eq__(self, other) or other in ("gloo", "mpi")

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash("gloo")  # it is in sets that Gloo is in


class Environment(dict):
    """os.environ while PyTorch's module is loaded: it holds strings as they were put in."""

    def copy(self):
        return Environment(self)


def stand_in_for_expecttest():
    """A package of three lines that PyTorch's helpers want and Debian 12 does not have."""
    try:
        importlib.import_module("expecttest")
    except ImportError:
        module = types.ModuleType("expecttest")
        module.ACCEPT = False
        module.TestCase = unittest.TestCase
        module.assert_expected_inline = lambda *arguments, **more: None
        sys.modules["expecttest"] = module


def let_old_dataclasses_be():
    """Python 3.11 refuses defaults without a hash, which PyTorch 1.13 has."""
    original = dataclasses._get_field

    def lenient(cls, name, *more):
        default = getattr(cls, name, None)
        kind = type(default.default if isinstance(default, dataclasses.Field) else default)
        if kind.__hash__ is None and kind not in (list, dict, set):
            kind.__hash__ = object.__hash__
        return original(cls, name, *more)

    dataclasses._get_field = lenient


def load(folder):
    """PyTorch's module of tests, under the name of this backend."""
    os.environ.update(WORLD_SIZE=RANKS, TEMP_DIR=folder, BACKEND="tutti", OMP_NUM_THREADS="1")
    os.environ.setdefault("USE_LIBUV", "0")
    stand_in_for_expecttest()
    let_old_dataclasses_be()
    import torch
    import tutti_torch  # noqa: F401
    from torch.testing._internal.common_distributed import DistTestCases

    for feature in ("plugin", "ddp", "subgroup"):
        DistTestCases.backend_feature.setdefault(feature, set()).update(("tutti", "gloo"))
    for feature in ("gpu", "cuda"):
        DistTestCases.backend_feature.get(feature, set()).discard("gloo")
    real = os.environ
    os.environ = Environment(real, BACKEND=Chameleon("tutti"))
    try:
        module = importlib.import_module("torch.testing._internal.distributed.distributed_test")
    finally:
        os.environ = real
    torch.set_num_threads(1)
    return module


def make_case(module):
    """Each test forks its ranks: spawning would import torch for each of them."""
    import torch

    class Suite(module.TestDistBackend, module.DistributedTest._DistTestBase):
        def setUp(self):
            super().setUp()
            self._start_processes(torch.multiprocessing.get_context("fork").Process)

    return Suite


def read_known(path):
    known = {}
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, _, cause = line.partition(":")
                known[name.strip()] = cause.strip()
    return known


def run_one(case, name):
    """'passed', 'skipped' or 'failed', and the reason."""
    result = unittest.TestResult()
    stdout, stderr = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        try:
            case(name).run(result)
        finally:
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.close(stdout)
            os.close(stderr)
        output.seek(0)
        said = io.TextIOWrapper(output, errors="replace").read()
    if result.skipped:
        return "skipped", result.skipped[0][1]
    if result.wasSuccessful():
        return "passed", ""
    return "failed", (result.failures + result.errors)[0][1] + said[-4000:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--known", help="the tests that fail, with their causes")
    parser.add_argument("--part", default="1/1", help="of how many")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.argv[1:] = []  # which PyTorch's helpers read, too
    folder = tempfile.mkdtemp(prefix="tutti-suite-")
    try:
        return run(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(arguments, folder):
    case = make_case(load(folder))
    known = read_known(arguments.known) if arguments.known else {}
    part, parts = (int(number) for number in arguments.part.split("/"))
    names = arguments.names or unittest.TestLoader().getTestCaseNames(case)[part - 1 :: parts]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    if arguments.list:
        print("\n".join(names))
        return 0
    for name in names:
        begin = time.monotonic()
        outcome, reason = run_one(case, name)
        if name in known and outcome != "skipped":
            reason = f"passes, but stands in {arguments.known}" if outcome == "passed" else known[name]
            outcome = "failed" if outcome == "passed" else "skipped"
        counts[outcome] += 1
        if outcome == "failed" or arguments.verbose:
            print(f"{outcome} {name} ({time.monotonic() - begin:.1f} s) {reason}", flush=True)
    print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
