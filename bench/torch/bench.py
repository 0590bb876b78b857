#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tutti beside Gloo in torch.distributed: both as groups of the same processes, in turns.

	bench.py [-n RANKS] [--rounds N] [--most BYTES] [--json FILE] [--plot FILE.svg] [--step-only | --no-step]

A cell is the median over the rounds of the time per call, of the slower rank. In each round both backends run the same
calls, one after the other. Under torchrun it uses the ranks that there are.
"""
import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

import tutti_torch  # noqa: E402,F401

torch.set_num_threads(1)
KIB, MIB = 1 << 10, 1 << 20
SIZES = [8, 64 * KIB, MIB, 16 * MIB, 64 * MIB]
# Before the clock, and by the clock: the other backend leaves both ranks on one core, and their way apart takes some 10 ms.
WARM = {8: 2000, 64 * KIB: 600, MIB: 40, 16 * MIB: 8, 64 * MIB: 2}
CALLS = {8: 1000, 64 * KIB: 300, MIB: 20, 16 * MIB: 6, 64 * MIB: 2}


def label(size):
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB" if size >= KIB else f"{size} B"


def all_reduce(size, ranks):
    tensor = torch.zeros(size // 4)
    return lambda group: dist.all_reduce(tensor, group=group)


def all_gather(size, ranks):
    mine, whole = torch.zeros(max(1, size // 4 // ranks)), torch.zeros(max(1, size // 4 // ranks) * ranks)
    rows = list(whole.chunk(ranks))
    into = getattr(dist, "all_gather_into_tensor", None)
    # Gloo of 1.13 has the form with a list only.
    return (lambda group: into(whole, mine, group=group)) if into and torch.__version__ >= "2" else (
        lambda group: dist.all_gather(rows, mine, group=group)
    )


def reduce_scatter(size, ranks):
    mine, whole = torch.zeros(max(1, size // 4 // ranks)), torch.zeros(max(1, size // 4 // ranks) * ranks)
    if not hasattr(dist, "reduce_scatter_tensor"):
        return lambda group: dist._reduce_scatter_base(mine, whole, group=group)
    return lambda group: dist.reduce_scatter_tensor(mine, whole, group=group)


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.inner = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.letters = torch.nn.Embedding(256, width)
        self.guess = torch.nn.Linear(width, 256)

    def forward(self, text):
        return self.guess(self.inner(self.letters(text)))


def ddp_step(group, width, sequences):
    """A training step, forward to update."""
    torch.manual_seed(1)
    model = torch.nn.parallel.DistributedDataParallel(Block(width), process_group=group)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    text = torch.randint(0, 256, (sequences, 33))

    def step():
        output = model(text[:, :-1])
        loss = torch.nn.functional.cross_entropy(output.flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, sum(parameter.numel() for parameter in model.parameters())


def timed(call, warm, times, groups):
    """Seconds per call on the slowest rank, once it goes its even way."""
    for _ in range(warm):
        call()
    dist.barrier(group=groups["tutti"])
    begin = time.perf_counter()
    for _ in range(times):
        call()
    spent = torch.tensor([(time.perf_counter() - begin) / times], dtype=torch.float64)
    dist.all_reduce(spent, dist.ReduceOp.MAX, group=groups["tutti"])
    return spent.item()


def compare(calls, warm, times, rounds, groups):
    """Medians in microseconds, or None for what a backend does not have."""
    spent = {name: [] for name in groups}
    for name in list(groups):
        try:
            calls[name]()
        except (RuntimeError, ValueError):
            spent[name] = None
    for _ in range(rounds):
        for name in groups:
            if spent[name] is not None:
                spent[name].append(timed(calls[name], warm, times, groups))
    return {name: statistics.median(values) * 1e6 if values else None for name, values in spent.items()}


def cell(row):
    times = [f"{row[name]:.1f}" if row[name] else "-" for name in ("gloo", "tutti")]
    ratio = f"{row['gloo'] / row['tutti']:.1f}" if row["gloo"] else "-"
    return f"| {row['what']} | {row['size']} | {times[0]} | {times[1]} | {ratio} |"


def measure(arguments, groups, ranks):
    rows = []
    if not arguments.step_only:
        for operation in (all_reduce, all_gather, reduce_scatter):
            for size in [size for size in SIZES if size <= arguments.most]:
                call = operation(size, ranks)
                calls = {name: (lambda group=group: call(group)) for name, group in groups.items()}
                row = compare(calls, WARM[size], CALLS[size], arguments.rounds, groups)
                rows.append({"what": operation.__name__, "size": label(size), "bytes": size, **row})
                report(rows[-1])
    if not arguments.no_step:
        for width, sequences in ((128, 4), (256, 4), (256, 32)):
            steps = {name: ddp_step(group, width, sequences) for name, group in groups.items()}
            row = compare({name: step[0] for name, step in steps.items()}, 2, 4, arguments.rounds, groups)
            count = steps["tutti"][1]
            rows.append({"what": f"DDP step, batch {sequences}", "size": f"{count / 1e6:.1f} M parameters", **row})
            report(rows[-1])
    return rows


def report(row):
    if dist.get_rank() == 0:
        print(cell(row), flush=True)


def plot(rows, path):
    """Gloo's time over Tutti's, by size, as SVG; both axes in powers of two."""
    names = ["all_reduce", "all_gather", "reduce_scatter"]
    colours = ["#1f6feb", "#d1642a", "#2a9d5c"]
    points = [row for row in rows if row.get("bytes") and row["gloo"]]
    most = max(row["gloo"] / row["tutti"] for row in points)
    top = 1
    while 2**top < most:
        top += 1

    def x(size):
        return 60 + 560 * [label(each) for each in SIZES].index(label(size)) / (len(SIZES) - 1)

    def y(ratio):
        return 300 - 260 * max(0.0, torch.tensor(ratio).log2().item()) / top

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 350" font-family="sans-serif" font-size="12">']
    out.append('<rect width="700" height="350" fill="white"/>')
    for power in range(top + 1):
        out.append(f'<path d="M60 {y(2**power):.1f}H620" stroke="#ddd"/>')
        out.append(f'<text x="52" y="{y(2**power) + 4:.1f}" text-anchor="end">{2**power}</text>')
    for size in SIZES:
        out.append(f'<text x="{x(size):.1f}" y="320" text-anchor="middle">{label(size)}</text>')
    for number, (name, colour) in enumerate(zip(names, colours)):
        line = [f"{x(row['bytes']):.1f},{y(row['gloo'] / row['tutti']):.1f}" for row in points if row["what"] == name]
        out.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{480}" y="{30 + 16 * number}" fill="{colour}">{name}</text>')
    out.append('<text x="60" y="24">time of Gloo / time of Tutti</text></svg>')
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")


def run(rank, ranks, store, arguments):
    limit = datetime.timedelta(seconds=120)
    if store is not None:
        dist.init_process_group(
            "tutti", store=dist.FileStore(store, ranks), rank=rank, world_size=ranks, timeout=limit
        )
    else:
        dist.init_process_group("tutti", timeout=limit)
        rank, ranks = dist.get_rank(), dist.get_world_size()
    groups = {"gloo": dist.new_group(backend="gloo"), "tutti": dist.group.WORLD}
    if rank == 0:
        print(f"PyTorch {torch.__version__}, Tutti {tutti_torch.version()}, {ranks} ranks, one thread each\n")
        print("| | size | Gloo (us) | Tutti (us) | ratio |\n|---|---|---|---|---|")
    rows = measure(arguments, groups, ranks)
    if rank == 0 and arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"torch": torch.__version__, "ranks": ranks, "rows": rows}, file, indent=1)
    if rank == 0 and arguments.plot:
        plot(rows, arguments.plot)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=2, dest="ranks")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=int, default=64 * MIB)
    parser.add_argument("--json")
    parser.add_argument("--plot")
    parser.add_argument("--step-only", action="store_true")
    parser.add_argument("--no-step", action="store_true")
    arguments = parser.parse_args()
    if "RANK" in os.environ:
        return run(None, None, None, arguments)
    with tempfile.TemporaryDirectory() as folder:
        context = torch.multiprocessing.get_context("fork")
        processes = [
            context.Process(target=run, args=(rank, arguments.ranks, os.path.join(folder, "store"), arguments))
            for rank in range(arguments.ranks)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return max(process.exitcode for process in processes)


if __name__ == "__main__":
    sys.exit(main())
