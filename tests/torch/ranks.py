# SPDX-License-Identifier: Apache-2.0
"""Ranks for tests: processes made by fork that meet in a file, and a few lines of TAP."""
import datetime
import multiprocessing
import os
import sys
import tempfile
import time
import traceback

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

import tutti_torch  # noqa: E402,F401

torch.set_num_threads(1)
fork = multiprocessing.get_context("fork")


def one_rank(rank, size, path, backend, timeout, function, arguments, pipe):
    try:
        store = dist.FileStore(path, size)
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=datetime.timedelta(seconds=timeout)
        )
        value = function(rank, size, *arguments)
        dist.destroy_process_group()
        pipe.send((True, value))
    except BaseException:
        pipe.send((False, traceback.format_exc()))
        os._exit(1)


def run(size, function, *arguments, backend="tutti", timeout=60, limit=120):
    """A list of (well, value or traceback), one for each rank; (False, None) for one that died without a word."""
    with tempfile.TemporaryDirectory(prefix="tutti-ranks-") as folder:
        ranks, results = [], []
        for rank in range(size):
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(
                target=one_rank,
                args=(rank, size, os.path.join(folder, "store"), backend, timeout, function, arguments, theirs),
            )
            process.start()
            theirs.close()
            ranks.append((process, ours))
        until = time.monotonic() + limit
        for process, pipe in ranks:
            try:
                ended = pipe.poll(max(0.0, until - time.monotonic()))
                results.append(pipe.recv() if ended else (False, f"nothing after {limit} s: it hangs"))
            except EOFError:
                results.append((False, None))
        for process, pipe in ranks:
            process.join(10)
            process.kill()
            process.join()
        return results


class Tap:
    def __init__(self):
        self.number = self.bad = 0

    def check(self, good, name, why=""):
        self.number += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        if not good:
            for line in str(why).splitlines()[-40:]:
                print(f"# {line[:400]}", flush=True)

    def all_well(self, results, name):
        """Each rank has ended well; says what the others said."""
        said = "\n".join(f"rank {rank}: {value}" for rank, (well, value) in enumerate(results) if not well)
        self.check(not said, name, said)

    def finish(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.bad or not self.number else 0)
