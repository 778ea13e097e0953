"""Helpers that every test may use."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from annatac import datasets
from annatac.errors import MissingFileError


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dataset(*names): needs these data sets; skipped where one is absent")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    if not Path(
        "/dev/nvidia0"
    ).exists():  # GPU kernels are interpreted; Triton asks when it is first imported
        os.environ.setdefault("TRITON_INTERPRET", "1")


def _path_or_skip(name: str) -> Path:
    try:
        return datasets.path(name)
    except MissingFileError:
        pytest.skip(f"data set '{name}' is not on this machine (ANNATAC_DATA names its folder)")


@pytest.fixture(autouse=True)
def _skip_without_data(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("dataset"):
        for name in marker.args:
            _path_or_skip(name)


@pytest.fixture(scope="session")
def dataset_path() -> Callable[[str], Path]:
    """``dataset_path(name)``: the file of a data set; the test is skipped where it is absent."""
    return _path_or_skip


@pytest.fixture(scope="session")
def dataset() -> Callable[[str], Any]:
    """``dataset(name)``: a fresh copy of a data set's content; the test is skipped where it is absent."""

    def load(name: str) -> Any:
        _path_or_skip(name)
        return datasets.load(name)

    return load


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``with full_disk(module) as calls``: the second file that the module's ``save_file`` writes meets a full disk.

    ``calls`` grows by the path of each file that was tried.
    """

    @contextmanager
    def filled(module: Any) -> Iterator[list[Path]]:
        save, calls = module.save_file, []

        def full(content: Any, path: Path, **options: Any) -> None:
            calls.append(path)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            save(content, path, **options)

        with monkeypatch.context() as patch:
            patch.setattr(module, "save_file", full)
            yield calls

    return filled
