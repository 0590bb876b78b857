#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch 2 builds on a backend: FSDP, tensor and pipeline parallelism, DTensor, checkpoints, ZeRO, on 4 ranks."""
import os
import tempfile

import ranks
import torch
import torch.distributed as dist

SIZE = 4


def model():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))


def data(rows=16):
    return torch.arange(rows * 16.0).view(rows, 16).sin(), torch.arange(rows * 8.0).view(rows, 8).cos()


def alone(steps=5):
    """The losses of one process."""
    one, (inputs, wanted), losses = model(), data(), []
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(one(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def same(losses, what):
    wanted = alone(len(losses))
    if any(abs(a - b) > 1e-4 for a, b in zip(losses, wanted)):
        raise AssertionError(f"{what}: the losses are {losses}, one process has {wanted}")


def shared_steps(parallel, rank, size, optimizer, steps=5):
    inputs, wanted = data()
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(parallel(inputs.chunk(size)[rank]), wanted.chunk(size)[rank])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean, dist.ReduceOp.AVG)
        losses.append(mean.item())
    return losses


def fsdp(rank, size):
    """FullyShardedDataParallel, and a full state dict on rank 0"""
    from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType

    for more in ({}, {"use_orig_params": True}):
        parallel = FullyShardedDataParallel(model(), device_id=torch.device("cpu"), **more)
        same(shared_steps(parallel, rank, size, torch.optim.SGD(parallel.parameters(), lr=0.1)), "FSDP")
    with FullyShardedDataParallel.state_dict_type(
        parallel, StateDictType.FULL_STATE_DICT, FullStateDictConfig(rank0_only=True)
    ):
        state = parallel.state_dict()
    if rank == 0:
        assert state["0.weight"].shape == (32, 16), state["0.weight"].shape


def fsdp2(rank, size):
    """fully_shard, layer by layer"""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh, parallel = init_device_mesh("cpu", (size,)), model()
    for part in (parallel[0], parallel[2], parallel):
        fully_shard(part, mesh=mesh)
    same(shared_steps(parallel, rank, size, torch.optim.SGD(parallel.parameters(), lr=0.1)), "fully_shard")


def zero(rank, size):
    """DDP with ZeroRedundancyOptimizer"""
    from torch.distributed.optim import ZeroRedundancyOptimizer

    parallel = torch.nn.parallel.DistributedDataParallel(model())
    optimizer = ZeroRedundancyOptimizer(parallel.parameters(), torch.optim.SGD, lr=0.1)
    same(shared_steps(parallel, rank, size, optimizer), "ZeRO")


def tensor_parallel(rank, size):
    """parallelize_module: a column-wise and a row-wise layer"""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (size,))
    parallel = parallelize_module(model(), mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1, foreach=False)
    (inputs, wanted), losses = data(), []
    for _ in range(5):
        loss = torch.nn.functional.mse_loss(parallel(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    same(losses, "tensor parallel")


def dtensor(rank, size):
    """DTensor: distribute, redistribute, full_tensor, on a mesh of two dimensions"""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    whole = torch.arange(64.0).view(8, 8)
    mesh = init_device_mesh("cpu", (2, size // 2))
    for placements in ([Shard(0), Shard(1)], [Replicate(), Shard(0)], [Shard(1), Replicate()]):
        tensor = distribute_tensor(whole, mesh, placements)
        assert torch.equal(tensor.full_tensor(), whole), placements
        assert torch.equal(tensor.redistribute(mesh, [Shard(1), Shard(0)]).full_tensor(), whole), placements
        assert torch.allclose((tensor @ tensor).full_tensor(), whole @ whole), placements


def pipeline(rank, size):
    """A pipeline of two stages, GPipe and 1F1B"""
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

    # Everybody makes all groups, in one order.
    pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    for schedule in (ScheduleGPipe, Schedule1F1B):
        whole, (inputs, wanted) = model(), data()
        part = whole[:2] if rank % 2 == 0 else whole[2:]
        stage = PipelineStage(part, rank % 2, 2, torch.device("cpu"), group=pairs[rank // 2])
        runner = schedule(stage, 4, loss_fn=torch.nn.functional.mse_loss)
        losses = []
        if rank % 2 == 0:
            runner.step(inputs)
        else:
            runner.step(target=wanted, losses=losses)
            assert abs(torch.stack(losses).mean().item() - alone(1)[0]) < 1e-5, losses
        assert all(parameter.grad is not None for parameter in part.parameters())


def checkpoint(rank, size, folder):
    """Distributed checkpoint: saved and loaded with another sharding"""
    import torch.distributed.checkpoint as saved
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh, whole = init_device_mesh("cpu", (size,)), torch.arange(64.0).view(8, 8)
    saved.save({"t": distribute_tensor(whole, mesh, [Shard(0)]), "n": 5}, checkpoint_id=folder)
    state = {"t": distribute_tensor(torch.zeros(8, 8), mesh, [Shard(1)]), "n": 0}
    saved.load(state, checkpoint_id=folder)
    assert torch.equal(state["t"].full_tensor(), whole) and state["n"] == 5, state


def functional(rank, size):
    """Functional collectives, which compiled programs use"""
    import torch.distributed._functional_collectives as functions

    group = dist.group.WORLD
    total = functions.all_reduce(torch.full((5,), float(rank)), "sum", group)
    assert torch.equal(total + 0, torch.full((5,), 6.0)), total
    rows = functions.all_gather_tensor(torch.full((2,), float(rank)), 0, group)
    assert torch.equal(rows + 0, torch.arange(4.0).repeat_interleave(2)), rows
    part = functions.reduce_scatter_tensor(torch.arange(8.0), "sum", 0, group)
    assert torch.equal(part + 0, 4 * torch.arange(8.0)[2 * rank : 2 * rank + 2]), part


def detail(rank, size):
    """TORCH_DISTRIBUTED_DEBUG=DETAIL"""
    parallel = torch.nn.parallel.DistributedDataParallel(model())
    same(shared_steps(parallel, rank, size, torch.optim.SGD(parallel.parameters(), lr=0.1)), "DDP in detail")


def main():
    tap = ranks.Tap()
    # fully_shard() of PyTorch 2.6 works on no CPU, with any backend.
    newer = [fsdp2] if hasattr(torch.cpu.current_stream(), "record_event") else []
    for test in (fsdp, *newer, zero, tensor_parallel, dtensor, pipeline, functional):
        tap.all_well(ranks.run(SIZE, test), test.__doc__)
    with tempfile.TemporaryDirectory(prefix="tutti-checkpoint-") as folder:
        tap.all_well(ranks.run(SIZE, checkpoint, folder), checkpoint.__doc__)
    os.environ["TORCH_DISTRIBUTED_DEBUG"] = "DETAIL"
    dist.set_debug_level_from_env()
    tap.all_well(ranks.run(SIZE, detail), detail.__doc__)
    tap.finish()


if __name__ == "__main__":
    main()
