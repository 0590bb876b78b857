#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every operation of torch.distributed that the backend has: values, types, layouts, groups, futures, errors."""
import datetime
import functools
import time

import ranks
import torch
import torch.distributed as dist

SIZE = 3
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]
COMPLEX = [torch.complex64, torch.complex128]
NUMBERS = FLOATS + INTEGERS
ALL = NUMBERS + [torch.bool] + COMPLEX


def values(rank, dtype, count=10):
    """Small whole numbers: exact in every type."""
    base = (torch.arange(count) * 3 + rank) % 5 + 1
    return (base > 3) if dtype is torch.bool else base.to(dtype)


def same(got, wanted):
    return got.dtype == wanted.dtype and got.shape == wanted.shape and torch.equal(got, wanted)


def expect(got, wanted, what):
    if not same(got, wanted):
        raise AssertionError(f"{what}: {got} is not {wanted}")


def reduced(op, dtype, size=SIZE, count=10):
    every = [values(rank, dtype, count) for rank in range(size)]
    whole = [value.long() if not dtype.is_complex else value for value in every]
    total = functools.reduce(
        {
            "SUM": torch.add,
            "AVG": torch.add,
            "PRODUCT": torch.mul,
            "MIN": torch.minimum,
            "MAX": torch.maximum,
            "BAND": torch.bitwise_and,
            "BOR": torch.bitwise_or,
            "BXOR": torch.bitwise_xor,
        }[op],
        whole,
    )
    if op == "AVG":
        total = total.double() / size if dtype.is_floating_point else torch.div(total, size, rounding_mode="trunc")
    return total.to(dtype)


def raises(wanted, call):
    try:
        call()
    except Exception as error:
        if wanted not in str(error):
            raise AssertionError(f"{wanted!r} is not in: {error}")
        return
    raise AssertionError(f"no error, but one with {wanted!r} was expected")


# ---- what the ranks do; each is a test, named by its first line --------------------------------------------------------


def all_reduce(rank, size):
    """all_reduce: every operator on every type that has it"""
    for op in ("SUM", "PRODUCT", "MIN", "MAX", "AVG", "BAND", "BOR", "BXOR"):
        types = {"SUM": ALL, "AVG": NUMBERS, "BAND": INTEGERS, "BOR": INTEGERS, "BXOR": INTEGERS}.get(op, NUMBERS)
        for dtype in types:
            tensor = values(rank, dtype)
            dist.all_reduce(tensor, getattr(dist.ReduceOp, op))
            wanted = reduced(op, dtype)
            if op == "AVG" and dtype in (torch.float16, torch.bfloat16, torch.float32):
                if not torch.allclose(tensor.double(), wanted.double(), rtol=0.01):
                    raise AssertionError(f"{op} {dtype}: {tensor} is not {wanted}")
            else:
                expect(tensor, wanted, f"{op} {dtype}")


def premultiplied(rank, size):
    """all_reduce, reduce_scatter: PREMUL_SUM with a number and with a tensor, per rank"""
    for dtype in FLOATS:
        tensor = values(rank, dtype)
        wanted = sum(values(other, dtype).double() * (other + 1) for other in range(size)).to(dtype)
        dist.all_reduce(tensor, dist._make_nccl_premul_sum(float(rank + 1)))
        expect(tensor, wanted, f"PREMUL_SUM {dtype}")
    factor = torch.tensor([2.0])
    tensor = values(rank, torch.float32)
    dist.all_reduce(tensor, dist._make_nccl_premul_sum(factor if torch.__version__ >= "2" else [factor]))
    expect(tensor, 2 * reduced("SUM", torch.float32), "PREMUL_SUM of a tensor")


def layouts(rank, size):
    """Transposed, strided, expanded, empty and zero-dimensional tensors"""
    matrix = values(rank, torch.float32, 12).view(3, 4).t()
    dist.all_reduce(matrix)
    expect(matrix, reduced("SUM", torch.float32, count=12).view(3, 4).t(), "transposed")
    strided = torch.zeros(20)
    strided[::2] = values(rank, torch.float32)
    dist.all_reduce(strided[::2])
    expect(strided[::2], reduced("SUM", torch.float32), "strided")
    expect(strided[1::2], torch.zeros(10), "between the strides")
    received = torch.zeros(4, 3 * size).t()
    dist.all_gather(list(received.chunk(size)), torch.full((3, 4), float(rank)))
    expect(received[3 * rank], torch.full((4,), float(rank)), "gathered into a transposed one")
    empty = torch.zeros(0)
    dist.all_reduce(empty)
    dist.broadcast(empty, 0)
    scalar = torch.tensor(float(rank))
    dist.all_reduce(scalar)
    expect(scalar, torch.tensor(float(sum(range(size)))), "zero-dimensional")
    last = torch.channels_last
    picture = torch.arange(48.0).view(2, 2, 3, 4).contiguous(memory_format=last) if rank else torch.zeros(2, 2, 3, 4)
    dist.broadcast(picture, 1)
    expect(picture.contiguous(), torch.arange(48.0).view(2, 2, 3, 4), "channels last")
    parameter = torch.nn.Parameter(torch.zeros(4))
    dist.broadcast(parameter.data, 0)
    dist.all_gather([torch.nn.Parameter(torch.zeros(2)).data for _ in range(size)], torch.zeros(1, 2).expand(1, 2)[0])


def gathering(rank, size):
    """all_gather, all_gather_into_tensor, gather: all types, one buffer, uneven lists, in place"""
    into = getattr(dist, "all_gather_into_tensor", None) or dist._all_gather_base
    for dtype in ALL:
        mine = values(rank, dtype)
        got = [torch.zeros_like(mine) for _ in range(size)]
        dist.all_gather(got, mine)
        for other in range(size):
            expect(got[other], values(other, dtype), f"all_gather {dtype}")
        flat = torch.zeros(10 * size, dtype=dtype)
        into(flat, mine)
        expect(flat, torch.cat(got), f"all_gather_into_tensor {dtype}")
        rows = [torch.zeros_like(mine) for _ in range(size)] if rank == 1 else None
        dist.gather(mine, rows, dst=1)
        if rows:
            expect(torch.cat(rows), torch.cat(got), f"gather {dtype}")
    buffer = torch.zeros(10 * size)
    views = list(buffer.chunk(size))
    views[rank].copy_(values(rank, torch.float32))
    dist.all_gather(views, views[rank])
    expect(buffer, torch.cat([values(other, torch.float32) for other in range(size)]), "views of one buffer, in place")
    uneven = [torch.zeros(other + 1) for other in range(size)]
    dist.all_gather(uneven, torch.full((rank + 1,), float(rank)))
    for other in range(size):
        expect(uneven[other], torch.full((other + 1,), float(other)), "uneven all_gather")


def scattering(rank, size):
    """reduce_scatter, reduce_scatter_tensor, scatter: lists, one buffer, uneven lists"""
    base = getattr(dist, "reduce_scatter_tensor", None) or dist._reduce_scatter_base
    for dtype in NUMBERS:
        whole = values(rank, dtype, 4 * size)
        wanted = reduced("SUM", dtype, count=4 * size)[4 * rank : 4 * rank + 4]
        out = torch.zeros(4, dtype=dtype)
        dist.reduce_scatter(out, [part.clone() for part in whole.chunk(size)])
        expect(out, wanted, f"reduce_scatter {dtype}")
        base(out.zero_(), whole)
        expect(out, wanted, f"reduce_scatter_tensor {dtype}")
        out.zero_()
        dist.scatter(out, list(whole.chunk(size)) if rank == 2 else None, src=2)
        expect(out, values(2, dtype, 4 * size)[4 * rank : 4 * rank + 4], f"scatter {dtype}")
    out = torch.zeros(rank + 1)
    dist.reduce_scatter(out, [torch.full((other + 1,), float(other)) for other in range(size)])
    expect(out, torch.full((rank + 1,), float(rank * size)), "uneven reduce_scatter")


def exchanging(rank, size):
    """all_to_all and all_to_all_single: even, uneven, all types"""
    for dtype in ALL:
        mine = values(rank, dtype, 2 * size)
        got = torch.zeros_like(mine)
        dist.all_to_all_single(got, mine)
        wanted = torch.cat([values(other, dtype, 2 * size)[2 * rank : 2 * rank + 2] for other in range(size)])
        expect(got, wanted, f"all_to_all_single {dtype}")
        lists = [torch.zeros(2, dtype=dtype) for _ in range(size)]
        dist.all_to_all(lists, list(mine.chunk(size)))
        expect(torch.cat(lists), wanted, f"all_to_all {dtype}")
    rows = size * (size + 1) // 2
    mine = torch.full((rows, 2), float(rank))
    got = torch.zeros(size * (rank + 1), 2)
    dist.all_to_all_single(got, mine, [rank + 1] * size, [other + 1 for other in range(size)])
    wanted = torch.arange(float(size)).repeat_interleave(rank + 1).unsqueeze(1).expand(-1, 2)
    expect(got, wanted.contiguous(), "uneven all_to_all_single")


def rooted(rank, size):
    """broadcast and reduce: every root, every type"""
    for root in range(size):
        for dtype in ALL:
            tensor = values(rank, dtype)
            dist.broadcast(tensor, root)
            expect(tensor, values(root, dtype), f"broadcast {dtype}")
            tensor = values(rank, dtype)
            dist.reduce(tensor, root)
            expect(tensor, reduced("SUM", dtype) if rank == root else values(rank, dtype), f"reduce {dtype}")


def messages(rank, size):
    """send, recv, any source, tags out of order, batches"""
    right, left = (rank + 1) % size, (rank - 1) % size
    got = torch.zeros(10)
    works = [dist.isend(values(rank, torch.float32), right), dist.irecv(got, left)]
    for work in works:
        work.wait()
    expect(got, values(left, torch.float32), "ring")
    first, second = torch.zeros(1), torch.zeros(1)
    works = [dist.irecv(second, left, tag=2), dist.irecv(first, left, tag=1)]
    dist.send(torch.ones(1), right, tag=1)
    dist.send(torch.full((1,), 2.0), right, tag=2)
    for work in works:
        work.wait()
    expect(torch.cat([first, second]), torch.tensor([1.0, 2.0]), "tags")
    if rank == 0:
        seen = set()
        for _ in range(size - 1):
            tensor = torch.zeros(1)
            source = dist.recv(tensor)
            expect(tensor, torch.full((1,), float(source)), "from anyone")
            seen.add(source)
        assert seen == set(range(1, size)), seen
    else:
        dist.send(torch.full((1,), float(rank)), 0)
    got.zero_()
    ops = [dist.P2POp(dist.isend, values(rank, torch.float32), right, tag=7), dist.P2POp(dist.irecv, got, left, tag=7)]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    expect(got, values(left, torch.float32), "batch")


def groups(rank, size):
    """Sub-groups: members only, ranks of their own, in different orders, at once"""
    pairs = {(a, b): dist.new_group([a, b]) for a in range(size) for b in range(a + 1, size)}
    works = []
    order = sorted(pairs) if rank % 2 else sorted(pairs, reverse=True)
    for pair in order:
        if rank in pair:
            tensor = torch.full((1000,), float(rank))
            works.append((pair, tensor, dist.all_reduce(tensor, group=pairs[pair], async_op=True)))
    for pair, tensor, work in works:
        work.wait()
        expect(tensor, torch.full((1000,), float(sum(pair))), f"group {pair}")
    if rank in (1, 2):
        tensor = torch.full((1,), float(rank))
        dist.broadcast(tensor, 2, group=pairs[(1, 2)])
        expect(tensor, torch.tensor([2.0]), "the root is a rank of the job")
    objects = [None] * size
    dist.all_gather_object(objects, {"rank": rank, "text": "x" * 100 * rank})
    assert [each["rank"] for each in objects] == list(range(size)), objects


def futures(rank, size):
    """Async work: dropped, polled, waited for late and in reverse, futures with callbacks"""
    tensors = [torch.full((5000,), float(rank + number)) for number in range(20)]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
    for number in reversed(range(20)):
        works[number].wait()
        expect(tensors[number], torch.full((5000,), 3.0 + size * number), "in reverse")
    dropped = torch.ones(100000)
    dist.all_reduce(dropped, async_op=True)
    polled = torch.ones(10)
    work = dist.all_reduce(polled, async_op=True)
    while not work.is_completed():
        pass
    assert work.is_success()
    expect(dropped, torch.full((100000,), float(size)), "dropped, but before one that has ended")
    tensor = torch.ones(70000)
    future = dist.all_reduce(tensor, async_op=True).get_future()
    halved = future.then(lambda done: done.value()[0] / 2)
    expect(halved.wait(), torch.full((70000,), size / 2), "a callback")
    lists = [torch.zeros(3) for _ in range(size)]
    value = dist.all_gather(lists, torch.full((3,), float(rank)), async_op=True).get_future().wait()
    expect(value[0][2], torch.full((3,), 2.0), "the future of a list of lists")
    dist.barrier(async_op=True).get_future().wait()


def background(rank, size):
    """What nobody waits for goes on while the program does something else"""
    tensor = torch.ones(10)
    store = dist.distributed_c10d._get_default_store()
    if rank == 0:
        work = dist.all_reduce(tensor, async_op=True)
        store.wait([f"seen by {other}" for other in range(1, size)], datetime.timedelta(seconds=30))
        work.wait()
    else:
        dist.all_reduce(tensor)
        store.set(f"seen by {rank}", "yes")
    expect(tensor, torch.full((10,), float(size)), "all_reduce")


def coalesced(rank, size):
    """all_reduce_coalesced: many small tensors as one group, large ones among them"""
    tensors = [torch.full((number + 1,), float(rank)) for number in range(60)] + [torch.ones(200000)]
    dist.all_reduce_coalesced(tensors)
    for number in range(60):
        expect(tensors[number], torch.full((number + 1,), 3.0), "coalesced")
    expect(tensors[60], torch.full((200000,), float(size)), "a large one")


def refused(rank, size):
    """Errors that name what is not supported, and leave the group whole"""
    raises("sparse", lambda: dist.all_reduce(torch.eye(3).to_sparse()))
    raises("TUTTI_ERR_ARGUMENT", lambda: dist.all_reduce(torch.ones(2), dist.ReduceOp.BAND))
    raises("complex", lambda: dist.all_reduce(torch.ones(2, dtype=torch.cfloat), dist.ReduceOp.MAX))
    raises("element", lambda: dist.all_gather([torch.zeros(2)] * size, torch.zeros(3)))
    raises("", lambda: dist.all_to_all_single(torch.zeros(4), torch.zeros(4), [1, 1, 1], [4, 0, 0]))
    tensor = torch.ones(2)
    dist.all_reduce(tensor)
    expect(tensor, torch.full((2,), float(size)), "the group still works")


def mismatch(rank, size):
    """Ranks whose calls differ all get an error that says so"""
    tensor = torch.ones(5 if rank else 4)
    raises("TUTTI_ERR_MISMATCH", lambda: dist.all_reduce(tensor))
    raises("has failed before", lambda: dist.all_reduce(tensor))


def missing(rank, size):
    """A time limit names the ranks that are missing, of the group and of the job; and so does monitored_barrier"""
    limit = datetime.timedelta(seconds=1)
    pair = dist.new_group([0, 2], timeout=limit)
    every = dist.new_group(list(range(size)))
    store = dist.distributed_c10d._get_default_store()
    if rank == 0:
        raises("is rank 2 of the job", lambda: dist.all_reduce(torch.ones(1), group=pair))
        store.set("go on", "yes")
    store.wait(["go on"], datetime.timedelta(seconds=30))
    if rank != 1:
        failed = "Rank 1 failed to pass monitoredBarrier" if rank == 0 else "Rank 2 successfully reached monitoredBarrier"
        raises(failed, lambda: dist.monitored_barrier(every, limit))
        store.set(f"seen by {rank}", "yes")
    else:
        store.wait(["seen by 0", "seen by 2"], datetime.timedelta(seconds=30))


def waiting(rank, size):
    """wait(timeout) gives up, and the operation goes on"""
    group = dist.new_group([0, 1])
    tensor = torch.ones(3)
    if rank == 0:
        work = dist.all_reduce(tensor, group=group, async_op=True)
        raises("timed out", lambda: work.wait(datetime.timedelta(milliseconds=50)))
        dist.distributed_c10d._get_default_store().set("given up", "yes")
        work.wait()
        expect(tensor, torch.full((3,), 2.0), "later")
    elif rank == 1:
        dist.distributed_c10d._get_default_store().wait(["given up"])
        dist.all_reduce(tensor, group=group)


def leaving(rank, size):
    """A rank that leaves at once after its last operation does not hurt the others"""
    tensor = torch.full((300000,), float(rank))
    dist.broadcast(tensor, 0)
    if rank:
        time.sleep(0.2)
        expect(tensor, torch.zeros(300000), "broadcast")


TESTS = [
    all_reduce,
    premultiplied,
    layouts,
    gathering,
    scattering,
    exchanging,
    rooted,
    messages,
    groups,
    futures,
    background,
    coalesced,
    refused,
    mismatch,
    missing,
    waiting,
    leaving,
]


def main():
    tap = ranks.Tap()
    for test in TESTS:
        tap.all_well(ranks.run(SIZE, test), test.__doc__)
    tap.all_well(ranks.run(1, all_reduce_alone), "One rank alone")
    tap.finish()


def all_reduce_alone(rank, size):
    tensor = torch.ones(3)
    dist.all_reduce(tensor)
    dist.barrier()
    expect(tensor, torch.ones(3), "all_reduce")


if __name__ == "__main__":
    main()
