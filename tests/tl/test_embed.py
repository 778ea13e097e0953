from __future__ import annotations

import subprocess
import sys

import anndata as ad
import numpy as np
import pytest

from annatac import keys, tl
from annatac.errors import ConfigError, InputError

pytest.importorskip("scanpy")


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 40)
    space = rng.normal(size=(80, 8)) + 12 * group[:, None]
    return ad.AnnData(obs={"group": group.astype(str)}, obsm={keys.EMBEDDING: space.astype(np.float32)})


def test_umap_keeps_groups_apart(cells):
    assert tl.embed(cells, leiden_resolution=0.5) is None
    xy = cells.obsm["X_umap"]
    assert xy.shape == (80, 2)
    assert np.isfinite(xy).all()
    within = np.linalg.norm(xy[:40] - xy[:40].mean(axis=0), axis=1).max()
    assert np.linalg.norm(xy[:40].mean(axis=0) - xy[40:].mean(axis=0)) > within
    assert cells.obs.groupby("group", observed=True)["leiden"].nunique().sum() >= 2


def test_copy_leaves_the_input_alone_and_the_seed_repeats(cells):
    first, second = tl.embed(cells, copy=True), tl.embed(cells, copy=True)
    assert "X_umap" not in cells.obsm
    assert np.array_equal(first.obsm["X_umap"], second.obsm["X_umap"])


def test_bad_input(cells):
    with pytest.raises(InputError, match=r"obsm\['X_pca'\] is missing; obsm has: X_annatac"):
        tl.embed(cells, use_rep="X_pca")
    with pytest.raises(ConfigError, match="n_neighbors is 80, for 80 cells; expected 2 to 79"):
        tl.embed(cells, n_neighbors=80)
    cells.obsm[keys.EMBEDDING][0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        tl.embed(cells)


def test_without_scanpy_the_extra_is_named():
    code = (
        "import sys; sys.modules['scanpy'] = None\n"
        "import anndata, numpy as np\nfrom annatac import tl\n"
        "from annatac.errors import MissingDependencyError\n"
        "try:\n    tl.embed(anndata.AnnData(obsm={'X_annatac': np.zeros((30, 2))}))\n"
        "except MissingDependencyError as error:\n    assert 'annatac[plot]' in str(error)\n"
        "else:\n    raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
