# SPDX-License-Identifier: Apache-2.0
"""Tutti as a backend of torch.distributed: import this module, then init_process_group("tutti")."""
import atexit
import datetime
import multiprocessing.util

import torch
import torch.distributed as dist

from . import _C

__all__ = ["monitored_barrier", "version"]
__version__ = _C.version()


def _create(options, backend_options=None):
    if backend_options is not None:
        raise ValueError("tutti: the backend has no pg_options; see docs/pytorch.md for its settings")
    return _C.create(
        options.store,
        options.group_rank,
        options.group_size,
        options.timeout,
        str(options.group_id),
        list(options.global_ranks_in_group),
    )


def _register():
    more = {} if int(torch.__version__.split(".")[0]) < 2 else {"devices": ["cpu"]}
    dist.Backend.register_backend("tutti", _create, extended_api=True, **more)
    # A process that ends without destroy_process_group must not tear memory away from peers that still read it.
    atexit.register(_C.close_all)
    # Processes made by multiprocessing end without atexit, and forget what their parent has registered.
    multiprocessing.util.register_after_fork(_C, _at_end_of_process)
    _at_end_of_process(_C)


def _at_end_of_process(module):
    multiprocessing.util.Finalize(None, module.close_all, exitpriority=10)


def version():
    """The version of the library, as "0.1.0"."""
    return _C.version()


def monitored_barrier(group=None, timeout=None):
    """A barrier whose error names the ranks that did not come within `timeout` (a timedelta; default: the group's).

    torch.distributed.monitored_barrier() is for Gloo only. With Tutti every operation names the missing ranks; this
    is a barrier with a time limit of its own.
    """
    group = dist.group.WORLD if group is None else group
    if timeout is None:
        group.monitored_barrier()
    elif isinstance(timeout, datetime.timedelta):
        group.monitored_barrier(timeout=timeout)
    else:
        raise TypeError("tutti: the timeout of monitored_barrier is a datetime.timedelta")


_register()
