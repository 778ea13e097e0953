"""Fake annotated cells, their report, and a browser to open it in."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def _beside(name):
    """Return a module of this folder, which is no package."""
    if f"report_{name}" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            f"report_{name}", Path(__file__).with_name(f"{name}.py")
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"report_{name}"] = module
        spec.loader.exec_module(module)
    return sys.modules[f"report_{name}"]


@pytest.fixture(scope="session")
def fakes():
    """The module ``fake_cells``."""
    return _beside("fake_cells")


@pytest.fixture
def fake(fakes):
    """600 annotated cells with hostile names."""
    return fakes.fake_cells()


@pytest.fixture(scope="session")
def written(fakes, tmp_path_factory):
    """The report of these cells."""
    from annatac.report import report

    path = tmp_path_factory.mktemp("report") / "report.html"
    return report(fakes.fake_cells(), path, truth_key="truth", title=fakes.HOSTILE)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium; the test is skipped where there is none."""
    module = _beside("browser")
    if module.chromium() is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    opened = module.Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
