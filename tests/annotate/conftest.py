"""A small model, trained once, and cells to name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from anndata import AnnData

import annatac
from annatac.simulate import simulate_cells

TYPES = ["CMP/LMPP", "L2/3", "B naïve: 1|2"]  # names are data: none may become a key or a file name


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cells(n_cells: int, seed: int) -> AnnData:
    """Simulated cells; the same peaks and profiles whatever the seed of the cells."""
    whole = simulate_cells(320, cell_types=TYPES, n_islands=250, open_islands=70, seed=1)
    return whole[:n_cells].copy() if seed == 1 else whole[320 - n_cells :].copy()


@pytest.fixture(scope="session")
def _models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    reference = cells(200, 1)
    for name, some in (("model", reference), ("other", reference[:150].copy())):
        annatac.finetune(some, label_key="cell_type", output=folder / name, recipe="debug")
    annatac.pretrain(reference, output=folder / "base", recipe="debug")
    return folder


@pytest.fixture(scope="session")
def model_folder(_models: Path) -> Path:
    """Folder of a model of the types ``TYPES``; not to be changed."""
    return _models / "model"


@pytest.fixture(scope="session")
def base_folder(_models: Path) -> Path:
    """Folder of a base model; not to be changed."""
    return _models / "base"


@pytest.fixture
def broken(_models: Path, tmp_path: Path) -> Path:
    """A copy of the model folder, to be broken."""
    return Path(shutil.copytree(_models / "model", tmp_path / "model"))


@pytest.fixture
def other(_models: Path) -> Path:
    """Folder of another model over the same islands and types."""
    return _models / "other"


@pytest.fixture
def annotator(model_folder: Path):
    return annatac.load(model_folder)


@pytest.fixture
def query() -> AnnData:
    """60 cells that the model was not trained on."""
    return cells(60, 2)


@pytest.fixture
def types() -> list[str]:
    return sorted(TYPES)


@pytest.fixture
def named(query: AnnData, annotator) -> Callable[..., AnnData]:
    """``named(query, **options)``: an annotated copy."""

    def annotate(adata: AnnData = query, **options) -> AnnData:
        result = annatac.tl.annotate(adata, annotator, copy=True, **options)
        assert result is not None
        return result

    return annotate
