"""Processes that work together, as ``torchrun`` starts them; with one process all of it does nothing.

Every process reads the same data, takes its part of every global batch, and the parts' gradients are summed
(plain data parallelism). What is small and decides the run (weights of a batch, figures, a wish to stop)
goes over the CPU (gloo); gradients go over the device they are on (gloo or NCCL).
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from annatac.errors import AnnatacError

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT = timedelta(hours=4)  # one process may fit the wide path while the others wait
_root: dist.Store | None = None  # by which the processes find each other
_meetings = 0  # of this process: each has keys of its own in the store


class ProcessLost(AnnatacError):
    """Another process of the run has ended or cannot be reached."""

    exit_code = 1


def world_size() -> int:
    """Return the number of processes that work together."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Return this process's number, 0 to ``world_size() - 1``."""
    return dist.get_rank() if _together() else 0


def is_first() -> bool:
    """Tell whether this process is the one that writes and speaks."""
    return rank() == 0


def share(n: int) -> slice:
    """Return this process's contiguous part of n items; sizes differ by one at the most."""
    first, last = (n * (rank() + i) // world_size() for i in (0, 1))
    return slice(first, last)


def wait() -> None:
    """Wait until every process is here.

    Raises
    ------
    ProcessLost
        One of them has ended; so do all functions here that communicate.
    """
    if _together():
        with _reaching_all():
            dist.all_reduce(torch.zeros(1))


def sum_over(tensor: Tensor) -> Tensor:
    """Add up ``tensor`` over the processes, in place, and return it: the same to the bit in each."""
    if _together():
        with _reaching_all():
            dist.all_reduce(tensor)
    return tensor


def gather_arrays(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the processes' arrays one below the other in the first process; elsewhere the own array.

    They must agree in dtype and in all axes but the first.
    """
    if not _together():
        return array
    array = np.ascontiguousarray(array)
    lengths = torch.zeros(world_size(), dtype=torch.int64)
    lengths[rank()] = len(array)
    sum_over(lengths)
    parts = [array]
    with _reaching_all():
        for other in range(1, world_size()):
            if rank() == other:
                dist.send(_bytes(array), 0)
            elif rank() == 0:
                part = np.empty((int(lengths[other]), *array.shape[1:]), dtype=array.dtype)
                received = torch.empty(part.nbytes, dtype=torch.uint8)
                dist.recv(received, other)
                parts.append(received.numpy().view(array.dtype).reshape(part.shape))
    return np.concatenate(parts)


def from_first(make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return what ``make`` returns in the first process, to every process; it is not called elsewhere.

    For what is costly, or not the same to the last digit on other machines. CPU tensors.
    """
    if not _together():
        return make()
    tensors = make() if is_first() else {}
    header = {
        name: [str(value.dtype).removeprefix("torch."), *value.shape] for name, value in tensors.items()
    }
    described = json.loads(_text_of_first(json.dumps(header)))
    with _reaching_all():
        for name, (dtype, *shape) in described.items():
            value = tensors.get(name, torch.empty(shape, dtype=getattr(torch, dtype))).contiguous()
            dist.broadcast(value, 0)
            tensors[name] = value
    return tensors


def same_as_first(network: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    if _together():
        with _reaching_all(), torch.no_grad():
            for value in network.state_dict().values():
                dist.broadcast(value, 0)


def check_agreement(text: str, what: str) -> None:
    """Refuse processes whose ``text`` is not the first one's.

    Raises
    ------
    AnnatacError
        In every process alike.
    """
    if not _together():
        return
    differs = torch.zeros(world_size(), dtype=torch.int64)
    differs[rank()] = _text_of_first(text) != text
    others = [str(number) for number in torch.nonzero(sum_over(differs))[:, 0].tolist()]
    if others:
        raise AnnatacError(
            f"Process {', '.join(others)} has other {what} than process 0. All processes must be given the same "
            "files, options and version of annatac, and share one file system."
        )


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Add up the gradients over the processes; a parameter that no process has a gradient of stays so.

    One message for all of them: the network is small, so that one call costs less than the overlap of many
    with the backward pass would gain; and a process without a cell in the batch needs no special case.
    """
    if not _together() or not parameters:
        return
    present = sum_over(torch.tensor([p.grad is not None for p in parameters], dtype=torch.int64)).tolist()
    flat = sum_over(torch.cat([_gradient(p).flatten() for p in parameters]))
    at = 0
    for parameter, n_present in zip(parameters, present, strict=True):
        n = parameter.numel()
        parameter.grad = flat[at : at + n].view_as(parameter) if n_present else None
        at += n


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def together(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function run in all processes that ``torchrun`` started (environment: WORLD_SIZE, RANK, ...).

    The processes meet when the outermost such function is called and part when it returns. An error in one
    ends it in all: the others get :class:`ProcessLost`. Of all these exceptions only the first has
    ``told_elsewhere`` false: it is the one to be shown. A process group that the caller has made is used as
    it is; it must have a CPU backend (``init_process_group()`` without naming one has).
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _joining():
            return function(*args, **kwargs)

    return run


@contextmanager
def _joining() -> Iterator[None]:
    global _root, _meetings
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _together():
        yield
        return
    if _root is None:
        _root = next(iter(dist.rendezvous("env://", timeout=TIMEOUT)))[0]  # type: ignore[attr-defined]
    _meetings += 1
    store = dist.PrefixStore(f"annatac/{_meetings}", _root)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=store,
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=TIMEOUT,
    )
    try:
        yield
        wait()
    except BaseException as error:
        try:
            error.told_elsewhere = store.add("failed", 1) > 1  # type: ignore[attr-defined]
        except RuntimeError:  # whoever kept the store has gone
            error.told_elsewhere = False  # type: ignore[attr-defined]
        if not torch.cuda.is_available():  # NCCL would wait for the others; they end with this process
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextmanager
def _reaching_all() -> Iterator[None]:
    """Turn what the backends raise when a process has gone into one error."""
    try:
        yield
    except RuntimeError as error:  # also DistBackendError and DistNetworkError
        raise ProcessLost(
            f"Another process of this run has ended or cannot be reached; process {rank()} of "
            f"{world_size()} stops too ({str(error).splitlines()[0]})."
        ) from error


def _text_of_first(text: str) -> str:
    """Return the first process's text."""
    content = text.encode()
    length = torch.tensor([len(content)])
    with _reaching_all():
        dist.broadcast(length, 0)
        sent = torch.zeros(int(length), dtype=torch.uint8)
        if is_first():
            sent = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
        dist.broadcast(sent, 0)
    return bytes(sent.numpy()).decode()


def _bytes(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.reshape(-1).view(np.uint8).copy())


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
