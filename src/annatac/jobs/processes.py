"""Jobs that the processes of torchrun do together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def together(function: Callable[P, R]) -> Callable[P, R]:
    """Let the processes meet before files are read (:func:`annatac.train.distributed.together`, loading torch)."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from annatac.train.distributed import together

        return together(function)(*args, **kwargs)

    return run
