from __future__ import annotations

import math
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.pp import peak_islands

# two peaks in chr1:0-5000, one over the border of the next bin (midpoint in the first), one on chr2
NAMES = ["chr1:100-600", "chr1:4000-5500", "chr1:6000-6500", "chr2:10000-10400"]
COUNTS = np.array([[1, 2, 0, 7], [0, 1, 3, 0], [0, 0, 0, 0], [2, 2, 1, 1]])
FORMATS = {
    "dense": np.asarray,
    "float": lambda x: x.astype(np.float32),
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "uint8": lambda x: sp.csr_matrix(x.astype(np.uint8)),
    "csr_array": sp.csr_array,
}


def _cells(x=COUNTS, names=NAMES, **kwargs):
    obs = pd.DataFrame(index=[f"c{i}" for i in range(x.shape[0])])
    return ad.AnnData(x.copy(), obs=obs, var=pd.DataFrame(index=list(names)), **kwargs)


def test_by_hand():
    adata = _cells(sp.csr_matrix(COUNTS), uns={"genome": "hg38"})
    islands = peak_islands(adata)
    assert islands.var_names.tolist() == ["chr1:0-5000", "chr1:5000-10000", "chr2:10000-15000"]
    assert islands.var["n_peaks"].tolist() == [2, 1, 1]
    assert islands.var["peaks"].tolist() == ["100-600;4000-5500", "6000-6500", "10000-10400"]
    assert islands.var[["start", "end"]].to_numpy().tolist() == [[0, 5000], [5000, 10000], [10000, 15000]]
    assert islands.X.toarray().tolist() == [
        [2, 0, 7],
        [1, 3, 0],
        [0, 0, 0],
        [2, 1, 1],
    ]  # ceil(3/2), ceil(1/2)
    assert islands.X.dtype == np.int32
    assert isinstance(islands.X, sp.csr_matrix)
    assert islands.uns["genome"] == "hg38"
    assert islands.uns[keys.ISLANDS]["bin_size"] == 5000
    assert adata.shape == (4, 4)


@pytest.mark.parametrize(
    ("openness", "first"),
    [("mean", [2, 1, 0, 2]), ("sum", [3, 1, 0, 4]), ("max", [2, 1, 0, 2]), ("binary", [1, 1, 0, 1])],
)
def test_openness_of_the_first_island(openness, first):
    islands = peak_islands(_cells(), openness=openness)
    assert islands.X[:, 0].toarray().ravel().tolist() == first


@pytest.mark.parametrize(
    ("assign", "second"),
    [("midpoint", ["6000-6500"]), ("start", ["6000-6500"]), ("overlap", ["4000-5500", "6000-6500"])],
)
def test_assignment(assign, second):
    islands = peak_islands(_cells(), assign=assign)
    assert islands.var.loc["chr1:5000-10000", "peaks"].split(";") == second
    if assign == "overlap":  # one peak counts in both of its bins
        assert islands.X[:, 1].toarray().ravel().tolist() == [1, 2, 0, 2]


def test_start_and_midpoint_differ():
    adata = _cells(COUNTS[:, :1], ["chr1:4900-6000"])
    assert peak_islands(adata, assign="start").var_names[0] == "chr1:0-5000"
    assert peak_islands(adata).var_names[0] == "chr1:5000-10000"


@pytest.mark.parametrize("kind", FORMATS)
def test_any_matrix_gives_the_same(kind):
    expected = peak_islands(_cells())
    islands = peak_islands(_cells(FORMATS[kind](COUNTS)))
    assert (islands.X != expected.X).nnz == 0
    assert islands.X.dtype == np.int32
    pd.testing.assert_frame_equal(islands.var, expected.var)


def test_backed_gives_the_same(tmp_path):
    for x in (sp.csr_matrix(COUNTS), COUNTS):
        _cells(x).write_h5ad(tmp_path / "a.h5ad")
        islands = peak_islands(ad.read_h5ad(tmp_path / "a.h5ad", backed="r"))
        assert (islands.X != peak_islands(_cells()).X).nnz == 0


def test_names_without_chr_and_other_separators():
    expected = peak_islands(_cells())
    for names in (
        [n[3:] for n in NAMES],
        [n.replace(":", "-") for n in NAMES],
        [f"GRCh38_{n}" for n in NAMES],
    ):
        assert peak_islands(_cells(names=names)).var.equals(expected.var)


def test_order_of_peaks_does_not_matter():
    order = [3, 1, 0, 2]
    islands = peak_islands(_cells(COUNTS[:, order], [NAMES[i] for i in order]))
    expected = peak_islands(_cells())
    assert islands.var.equals(expected.var)
    assert (islands.X != expected.X).nnz == 0


def test_uint8_sums_do_not_wrap():
    adata = _cells(np.full((1, 3), 200, dtype=np.uint8), ["chr1:1-2", "chr1:3-4", "chr1:5-6"])
    assert peak_islands(adata, openness="sum").X[0, 0] == 600
    assert peak_islands(adata).X[0, 0] == 200


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_against_a_plain_loop(data):
    n_cells, n_peaks = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    start = data.draw(st.lists(st.integers(0, 4000), min_size=n_peaks, max_size=n_peaks))
    width = data.draw(st.lists(st.integers(1, 900), min_size=n_peaks, max_size=n_peaks))
    chrom = data.draw(st.lists(st.sampled_from(["1", "2", "X"]), min_size=n_peaks, max_size=n_peaks))
    seed = data.draw(st.integers(0, 99))
    bin_size = data.draw(st.sampled_from([100, 333, 5000]))
    assign = data.draw(st.sampled_from(["midpoint", "start", "overlap"]))
    openness = data.draw(st.sampled_from(["mean", "sum", "max", "binary"]))
    x = np.random.default_rng(seed).poisson(0.8, (n_cells, n_peaks))
    x[0, 0] = 1
    columns = zip(chrom, start, width, strict=True)
    names = [f"{c}:{s}-{s + w}" for c, s, w in columns]
    islands = peak_islands(_cells(x, names), bin_size=bin_size, assign=assign, openness=openness)
    members: dict[str, list[int]] = {}
    for i, (c, s, w) in enumerate(zip(chrom, start, width, strict=True)):
        bins = {
            "start": [s // bin_size],
            "midpoint": [(2 * s + w) // 2 // bin_size],
            "overlap": [b for b in range(60) if s < (b + 1) * bin_size and b * bin_size < s + w],
        }[assign]
        for b in bins:
            members.setdefault(f"chr{c}:{b * bin_size}-{(b + 1) * bin_size}", []).append(i)
    assert set(islands.var_names) == set(members)
    combine = {
        "mean": lambda v: math.ceil(v.sum() / len(v)),
        "sum": lambda v: v.sum(),
        "max": lambda v: v.max(),
        "binary": lambda v: int(v.max() > 0),
    }[openness]
    found = pd.DataFrame(islands.X.toarray(), columns=islands.var_names)
    for name, peaks in members.items():
        assert found[name].tolist() == [combine(x[cell, peaks]) for cell in range(n_cells)]
        assert islands.var.loc[name, "n_peaks"] == len(peaks)


def test_scaffolds_are_left_out_with_a_count():
    adata = _cells(names=["chr1:1-2", "GL000009.2:5-9", "chrM:1-9", "chr1_KI270706v1_random:1-2"])
    with pytest.warns(AnnatacWarning, match=r"17 counts \(85.00%\) in 3 features outside .*chrM.*GL000009"):
        islands = peak_islands(adata)
    assert islands.n_vars == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert peak_islands(adata, standard_chromosomes=False).n_vars == 4
        adata.X[:, 1:] = 0  # nothing is lost: nothing is said
        peak_islands(adata)


def test_blacklist(tmp_path):
    (tmp_path / "black.bed").write_text("1\t599\t700\n")
    islands = peak_islands(_cells(), blacklist=tmp_path / "black.bed")
    assert islands.var["n_peaks"].tolist() == [1, 1, 1]
    table = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [0, 0], "end": [10**6, 10**6]})
    with pytest.raises(InputError, match="The blacklist covers all of them"):
        peak_islands(_cells(), blacklist=table)


GENES = pd.DataFrame(
    {"chrom": ["1", "chr1", "chr1", "chr9"], "tss": [4999, 200, 200, 5], "symbol": ["B", "A", "A", "C"]}
)


def test_genes_and_tss_islands():
    assert peak_islands(_cells(), genes=GENES).var["genes"].tolist() == ["A;B", "", ""]
    islands = peak_islands(_cells(), genes=GENES, islands="tss")
    assert islands.var_names.tolist() == ["chr1:0-5000"]
    assert islands.X.toarray().ravel().tolist() == [2, 1, 0, 2]
    with pytest.raises(ConfigError, match="needs genes"):
        peak_islands(_cells(), islands="tss")
    with pytest.raises(InputError, match="holds a start site"):
        peak_islands(_cells(), genes=GENES[3:], islands="tss")


def test_features_without_coordinates_keep_their_names():
    adata = _cells(names=["CD19", "CD3E", "LYZ", "MS4A1"])
    with pytest.warns(AnnatacWarning, match=r"The 4 features have no coordinates \(the first is 'CD19'\)"):
        islands = peak_islands(adata)
    assert islands.var_names.tolist() == adata.var_names.tolist()
    assert (islands.X.toarray() == COUNTS).all()
    with pytest.raises(InputError, match="needs coordinates"):
        peak_islands(adata, islands="tss", genes=GENES)


def _bins(source="fragments", openness="sum"):
    names = ["chr1:0-5000", "chr1:5000-10000", "chr1:10000-15000", "chr2:0-5000"]
    return _cells(names=names, uns={keys.ISLANDS: {"bin_size": 5000, "source": source, "openness": openness}})


def test_bins_from_fragments_stay_and_regroup():
    islands = peak_islands(_bins())
    assert (islands.X.toarray() == COUNTS).all()
    assert islands.var["peaks"].tolist() == [""] * 4
    wide = peak_islands(_bins(), bin_size=10_000)
    assert wide.var_names.tolist() == ["chr1:0-10000", "chr1:10000-20000", "chr2:0-10000"]
    assert wide.X.toarray().tolist() == [[3, 0, 7], [1, 3, 0], [0, 0, 0], [4, 1, 1]]
    assert wide.var["n_peaks"].tolist() == [2, 1, 1]
    assert wide.uns[keys.ISLANDS]["source"] == "fragments"
    assert peak_islands(_bins(), bin_size=10_000, openness="max").X[0].toarray().tolist() == [[2, 0, 7]]
    with pytest.raises(ConfigError, match="do not make bins of 7,000 bp"):
        peak_islands(_bins(), bin_size=7000)


def test_islands_of_islands():
    once = peak_islands(_cells(), genes=GENES)
    twice = peak_islands(once)
    assert (twice.X != once.X).nnz == 0
    pd.testing.assert_frame_equal(twice.var, once.var, check_like=True)
    binary = peak_islands(once, openness="binary")
    assert binary.X.max() == 1
    assert binary.uns[keys.ISLANDS]["openness"] == "binary"
    with pytest.raises(ConfigError, match="hold the mean of their peaks, from which the sum"):
        peak_islands(once, openness="sum")
    with pytest.raises(ConfigError, match="rounded means cannot be put together"):
        peak_islands(once, bin_size=10_000)
    summed = peak_islands(peak_islands(_cells(), openness="sum"), bin_size=10_000)
    assert (
        summed.X.toarray().tolist()
        == peak_islands(_cells(), openness="sum", bin_size=10_000).X.toarray().tolist()
    )
    assert summed.var["peaks"].iloc[0] == "100-600;4000-5500;6000-6500"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"openness": "median"}, "openness='median' is unknown; expected one of mean, sum, max, binary"),
        ({"assign": "end"}, "assign='end' is unknown"),
        ({"islands": "promoter"}, "islands='promoter' is unknown"),
        ({"bin_size": 0}, "bin_size is 0"),
    ],
)
def test_unknown_choices(option, message):
    with pytest.raises(ConfigError, match=message):
        peak_islands(_cells(), **option)


def test_nothing_left():
    with pytest.raises(InputError, match=r"their chromosomes are GL1, GL2\. Expected names such as chr1"):
        peak_islands(_cells(names=["GL1:1-2", "GL2:1-2", "GL1:3-4", "GL2:3-4"]))
    with pytest.raises(InputError, match="They belong to GRCh38 and mm10"):
        peak_islands(_cells(names=["GRCh38_chr1:1-2", "mm10_chr1:1-2", "GRCh38_chr1:3-4", "mm10_chr1:3-4"]))
    with pytest.raises(InputError, match="The matrix is empty: 0 cells"):
        peak_islands(_cells()[:0].copy())


def test_cells_without_a_count_stay():
    assert peak_islands(_cells(np.array([[0, 0], [0, 1], [0, 0]]), NAMES[:2])).shape == (3, 1)
