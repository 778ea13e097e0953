from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import tl
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError

GTF = """\
1\tx\tgene\t10001\t20000\t.\t+\t.\tgene_id "G1"; gene_name "PLUS";
1\tx\ttranscript\t10001\t20000\t.\t+\t.\tgene_id "G1"; gene_name "PLUS";
1\tx\texon\t10001\t10500\t.\t+\t.\tgene_id "G1"; gene_name "PLUS";
1\tx\texon\t15001\t15500\t.\t+\t.\tgene_id "G1"; gene_name "PLUS";
1\tx\ttranscript\t40001\t50000\t.\t-\t.\tgene_id "G2"; gene_name "MINUS";
1\tx\texon\t40001\t41000\t.\t-\t.\tgene_id "G2"; gene_name "MINUS";
"""
# start-end: what it is
PEAKS = {
    (7990, 8001): "promoter",  # 2,000 bp upstream of PLUS (tss 10000) is 8000
    (7900, 8000): "distal",
    (10100, 10150): "promoter",  # 100 bp downstream
    (10101, 10151): "exon",
    (10500, 10600): "intron",
    (14990, 15001): "exon",
    (19990, 20100): "intron",
    (20000, 20100): "distal",
    (51999, 52100): "promoter",  # upstream of MINUS (tss 49999) to the right
    (52000, 52100): "distal",
    (49800, 49899): "intron",
    (40500, 40600): "exon",
}


@pytest.fixture
def cells():
    n = len(PEAKS)
    x = np.zeros((40, n), dtype=np.int32)
    x[:20] = 1  # type a: every peak in every cell
    x[20:21, :6] = 2  # type b: six peaks in one of 20 cells
    x[21:, 0] = 1
    obs = pd.DataFrame({"type": ["a"] * 20 + ["b"] * 20}, index=[f"c{i}" for i in range(40)])
    var = pd.DataFrame(index=[f"chr1:{s}-{e}" for s, e in PEAKS])
    return ad.AnnData(sp.csr_matrix(x), obs=obs, var=var)


@pytest.fixture
def gtf(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(GTF)
    return path


def _counts(table, name):
    mine = table[table["cell_type"] == name]
    return dict(zip(mine["element"], mine["n_peaks"], strict=True))


def test_elements_by_hand(cells, gtf):
    with pytest.warns(
        AnnatacWarning, match=r"Of a, b one open cell makes a peak the type's \(0.05 of the cells"
    ):
        table = tl.elements(cells, gtf, groupby="type", min_share=0.05)
    kinds = list(PEAKS.values())
    assert _counts(table, "a") == {k: kinds.count(k) for k in ("promoter", "exon", "intron", "distal")}
    assert _counts(table, "b") == {k: kinds[:6].count(k) for k in ("promoter", "exon", "intron", "distal")}
    assert _counts(table, "all types") == _counts(table, "a")
    assert table.groupby("cell_type")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert table["is_union"].sum() == 4


def test_min_share_decides_what_is_open(cells, gtf):
    table = tl.elements(cells, gtf, groupby="type", min_share=0.06)  # one cell of 20 is not enough
    assert sum(_counts(table, "b").values()) == 1
    assert set(table["min_share"]) == {0.06}


def test_each_peak_has_its_element(cells, gtf):
    for i, kind in enumerate(PEAKS.values()):
        one = cells.copy()
        one.X = sp.csr_matrix(np.tile(np.arange(len(PEAKS)) == i, (40, 1)).astype(np.int32))
        assert _counts(tl.elements(one, gtf, groupby="type"), "a")[kind] == 1


def test_bed_genes_have_no_exons(cells, tmp_path):
    bed = tmp_path / "genes.bed"
    bed.write_text("chr1\t10000\t20000\tPLUS\t+\nchr1\t40000\t50000\tMINUS\t-\n")
    counts = _counts(tl.elements(cells, bed, groupby="type"), "a")
    assert counts == {"promoter": 3, "gene body": 6, "distal": 3}


def test_bad_input(cells, gtf):
    with pytest.raises(ConfigError, match="min_share is 5"):
        tl.elements(cells, gtf, groupby="type", min_share=5)
    with pytest.raises(ConfigError, match="promoter reaches from -1 bp"):
        tl.elements(cells, gtf, groupby="type", upstream_bp=-1)
    with pytest.raises(LabelError, match="no column 'annatac_label'"):
        tl.elements(cells, gtf)
    cells.obs.iloc[:3, 0] = "rare"
    with pytest.warns(AnnatacWarning, match=r"'rare' \(3\)"):
        tl.elements(cells, gtf, groupby="type")
    far = pd.DataFrame({"chrom": ["chr9"], "start": [5], "end": [9], "symbol": ["F"], "strand": ["+"]})
    cells.obs["type"] = "a"
    with pytest.raises(
        InputError, match=r"None of the 12 features touches one of the 1 genes.*same assembly"
    ):
        tl.elements(cells, far, groupby="type")
    cells.var_names = [f"p{i}" for i in range(cells.n_vars)]
    with pytest.raises(InputError, match="no coordinates"):
        tl.elements(cells, gtf, groupby="type")
