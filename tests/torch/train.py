#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data-parallel training on real data, on 1, 2 and 4 ranks, over Tutti and over Gloo: train.py DIGITS TEXT

The parameters end with the same bits on all ranks, and the losses are those of one process, up to rounding.
"""
import hashlib
import os
import signal
import sys

import ranks
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

STEPS = 12
BATCH = 16
WINDOW = 24


def read_digits(path):
    with open(path) as file:
        rows = [line.split() for line in file]
    pixels = torch.tensor([[int(letter, 17) for letter in picture] for _, picture in rows], dtype=torch.float32)
    return pixels / 16, torch.tensor([int(label) for label, _ in rows])


def read_text(path):
    with open(path, "rb") as file:
        return torch.tensor(list(file.read())).clamp(max=127)


class Writer(torch.nn.Module):
    """A small transformer that guesses the next byte."""

    def __init__(self):
        super().__init__()
        self.letters = torch.nn.Embedding(128, 32)
        self.places = torch.nn.Parameter(torch.randn(WINDOW, 32) * 0.02)
        layer = torch.nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.guess = torch.nn.Linear(32, 128)

    def forward(self, text):
        mask = torch.full((WINDOW, WINDOW), float("-inf")).triu(1)
        return self.guess(self.layers(self.letters(text) + self.places, mask))


def digits_task(path):
    pixels, labels = read_digits(path)
    model = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))

    def batch(step):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH)
        return pixels[rows], labels[rows]

    return model, batch, torch.nn.functional.cross_entropy


def text_task(path):
    text = read_text(path)

    def batch(step):
        starts = range(step * 100, step * 100 + BATCH * 50, 50)
        return (
            torch.stack([text[start : start + WINDOW] for start in starts]),
            torch.stack([text[start + 1 : start + 1 + WINDOW] for start in starts]),
        )

    def loss(output, wanted):
        return torch.nn.functional.cross_entropy(output.flatten(0, 1), wanted.flatten())

    return Writer(), batch, loss


TASKS = {"digits": digits_task, "text": text_task}


def train(rank, size, task, path, steps=STEPS, dies_at=None):
    """The losses of all steps, over all ranks, and a hash of the parameters."""
    torch.manual_seed(7 if size == 1 or rank == 0 else 100 + rank)  # DDP takes the parameters of rank 0
    model, batch, loss_of = TASKS[task](path)
    # Small buckets: several of them are on their way during a backward pass.
    parallel = DistributedDataParallel(model, bucket_cap_mb=0.02) if size > 1 else model
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        if dies_at == (rank, step):
            os.kill(os.getpid(), signal.SIGKILL)
        inputs, wanted = batch(step % STEPS)
        share = slice(rank * BATCH // size, (rank + 1) * BATCH // size)
        loss = loss_of(parallel(inputs[share]), wanted[share])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        if size > 1:
            dist.all_reduce(mean)
        losses.append(mean.item() / size)
    bits = hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in model.parameters())).hexdigest()
    return losses, bits


def close(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 2e-4 * max(1.0, abs(y)) for x, y in zip(a, b))


def learn(tap, task, path):
    ((well, value),) = ranks.run(1, train, task, path)
    if not well:
        return tap.check(False, f"{task}: one process trains", value)
    alone, _ = value
    tap.check(alone[-1] < alone[0], f"{task}: one process learns", alone)
    for size in (2, 4):
        for backend in ("tutti", "gloo"):
            name = f"{task}, {size} ranks, {backend}"
            results = ranks.run(size, train, task, path, backend=backend)
            tap.all_well(results, f"{name}: trains")
            if not all(well for well, _ in results):
                continue
            bits = {value[1] for _, value in results}
            tap.check(len(bits) == 1, f"{name}: the parameters have the same bits on all ranks", bits)
            losses = [value[0] for _, value in results]
            tap.check(all(each == losses[0] for each in losses), f"{name}: and so have the losses", losses)
            tap.check(close(losses[0], alone), f"{name}: the losses are those of one process", (losses[0], alone))


def main():
    digits, text = sys.argv[1:3]
    tap = ranks.Tap()
    learn(tap, "digits", digits)
    learn(tap, "text", text)
    # A rank dies in the middle: the others end with an exception that names it.
    results = ranks.run(3, train, "text", text, 1000, (1, 5))
    tap.check(results[1] == (False, None), "rank 1 was killed", results[1])
    for rank in (0, 2):
        well, said = results[rank]
        tap.check(
            not well and said is not None and "TUTTI_ERR_PEER" in said and "rank 1 " in said,
            f"rank {rank} ends with an exception that names the dead rank",
            said,
        )
    tap.finish()


if __name__ == "__main__":
    main()
