from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.io.motif_files import Motif

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402
from annatac.pl.sequence_logo import information  # noqa: E402


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    types = np.repeat(["B/x", "T", "NK"], 40)
    z = rng.normal(size=(120, 2)) + np.where(types == "B/x", 4, 0)[:, None]
    adata = ad.AnnData(
        np.ones((120, 1)), obs=pd.DataFrame({keys.LABEL: types}, index=[f"c{i}" for i in range(120)])
    )
    adata.obsm[keys.MOTIF_Z] = z.astype(np.float32)
    adata.uns[keys.MOTIFS] = {"names": np.array(["EBF1", "TCF7"]), "ids": np.array(["MA1", "MA2"])}
    return adata


def test_ridges_are_in_the_order_of_activity(cells):
    ax = pl.motif_ridge(cells, "EBF1")
    assert ax.get_yticklabels()[-1].get_text() == "B/x (40)"
    assert "EBF1 (MA1)" in ax.get_title()
    assert pl.motif_ridge(cells, "MA1", ax=ax) is ax
    with pytest.raises(ConfigError, match="Did you mean 'EBF1'"):
        pl.motif_ridge(cells, "EBF")
    del cells.obsm[keys.MOTIF_Z]
    with pytest.raises(InputError, match="no motif deviations"):
        pl.motif_ridge(cells, "EBF1")


def test_logo_is_as_high_as_its_information():
    p = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    assert np.allclose(information(p), [2, 1, 0])
    ax = pl.motif_logo(Motif(id="MA1", name="X", counts=p * 10))
    tops = [patch.get_path().get_extents().y1 for patch in ax.patches]
    assert np.allclose(sorted(tops), [0.5, 1, 2], atol=1e-6)


def test_enrichment_dots():
    table = pd.DataFrame(
        {
            "cell_type": ["B", "B", "T", "T"],
            "motif": ["MA1", "MA2"] * 2,
            "name": ["EBF1", "TCF7"] * 2,
            "log2_enrichment": [2.0, 0.1, -0.2, 1.5],
            "fdr": [1e-30, 0.8, 0.9, 1e-4],
            "is_enriched": [True, False, False, True],
        }
    )
    ax = pl.motif_enrichment(table)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["EBF1", "TCF7"]
    with pytest.raises(InputError, match="nothing to draw"):
        pl.motif_enrichment(table.assign(is_enriched=False))
    with pytest.raises(InputError, match="lacks fdr"):
        pl.motif_enrichment(table.drop(columns="fdr"))
