"""Inputs and a model that the tests of the command line share, each made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import pytest

from annatac.cli import main
from annatac.simulate import simulate_cells


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("annotate", query, "-o", out)``: a command in this process, as the shell would see it."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """An empty folder for outputs: what fails must leave it empty."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ``reference.h5ad`` (two donors) and ``query.h5ad`` (a third), simulated."""
    folder = tmp_path_factory.mktemp("inputs")
    cells = simulate_cells(360, cell_types=4, n_islands=1200, open_islands=120, donors=3)
    is_query = (cells.obs["donor"] == "donor3").to_numpy()
    cells[~is_query].copy().write_h5ad(folder / "reference.h5ad")
    cells[is_query].copy().write_h5ad(folder / "query.h5ad")
    return folder


@pytest.fixture
def query(inputs: Path) -> ad.AnnData:
    """The query in memory, to be spoilt."""
    return ad.read_h5ad(inputs / "query.h5ad")


@pytest.fixture
def reference(inputs: Path) -> ad.AnnData:
    """The reference in memory, to be spoilt."""
    return ad.read_h5ad(inputs / "reference.h5ad")


@pytest.fixture(scope="session")
def model(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained by the recipe ``debug``."""
    folder = tmp_path_factory.mktemp("models") / "model"
    arguments = [inputs / "reference.h5ad", "-o", folder, "--label-key", "cell_type", "--recipe", "debug"]
    assert main(["finetune", *map(str, arguments), "--epochs", "1"]) == 0
    return folder


@pytest.fixture(scope="session")
def annotated(inputs: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The query with labels."""
    out = tmp_path_factory.mktemp("annotated") / "out.h5ad"
    arguments = [inputs / "query.h5ad", "--model", model, "-o", out, "--novelty-threshold", 0.3]
    assert main(["annotate", *map(str, arguments)]) == 0
    return out
