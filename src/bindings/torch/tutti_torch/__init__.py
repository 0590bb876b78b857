# SPDX-License-Identifier: Apache-2.0
"""Tutti as a backend of torch.distributed: import this module, then init_process_group("tutti")."""
import atexit
import multiprocessing.util

import torch
import torch.distributed as dist

from . import _C

__all__ = ["version"]
__version__ = _C.version()


class _Name(str):
    """The backend's name, which is not unequal to Gloo's: torch.distributed.monitored_barrier() of most versions
    refuses the backends whose name is, and nothing else in PyTorch asks in this way."""

    __slots__ = ()

    def __ne__(self, other):
        return other != "gloo" and str.__ne__(self, other)


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
    dist.Backend.TUTTI = _Name("tutti")
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


_register()
