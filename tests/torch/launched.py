#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rank that a launcher has started: trains as in train.py, and rank 0 says how it went. launched.py DIGITS"""
import datetime
import sys

import torch
import torch.distributed as dist
import train

import tutti_torch  # noqa: F401

torch.set_num_threads(1)
dist.init_process_group("tutti", timeout=datetime.timedelta(seconds=60))
rank, size = dist.get_rank(), dist.get_world_size()
losses, bits = train.train(rank, size, "digits", sys.argv[1])
every = [None] * size
dist.all_gather_object(every, (losses, bits))
if rank == 0:
    print(f"{size} ranks, {'the same' if all(each == every[0] for each in every) else 'different'} bits", flush=True)
# Without destroy_process_group(), as many programs end.
