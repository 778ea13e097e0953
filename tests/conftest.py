"""Helpers that every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annatac import datasets
from annatac.errors import MissingFileError


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dataset(*names): needs these data sets; skipped where one is absent")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


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
