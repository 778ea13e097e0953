from __future__ import annotations

import gzip
import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac.errors import AnnatacWarning, AssemblyError, InputError, ModelError, OverlapError
from annatac.pp import (
    N_CLASSES,
    Universe,
    check_genome,
    check_profile,
    openness_classes,
    peak_islands,
    tokenize,
)
from annatac.pp.tokens import measured

GENES = pd.DataFrame({"chrom": ["chr1"], "tss": [5], "symbol": ["A"]})


def _cells(x, names, **kwargs):
    obs = pd.DataFrame(index=[f"c{i}" for i in range(np.shape(x)[0])])
    return ad.AnnData(sp.csr_matrix(np.asarray(x)), obs=obs, var=pd.DataFrame(index=list(names)), **kwargs)


@pytest.fixture
def reference():
    x = [[1, 0, 9], [0, 0, 2], [3, 0, 0], [0, 1, 0]]
    return peak_islands(
        _cells(x, ["chr1:100-200", "chr1:7000-7100", "chrX:0-50"], uns={"genome": "GRCh38"}), genes=GENES
    )


@pytest.fixture
def universe(reference):
    return Universe.from_islands(reference)


def test_universe_of_a_reference(universe):
    assert universe.names.tolist() == ["chr1:0-5000", "chr1:5000-10000", "chrX:0-5000"]
    assert universe.mean_openness.tolist() == [1.0, 0.25, 1.75]  # 9 counts as class 5
    assert (universe.genome, universe.bin_size, len(universe)) == ("hg38", 5000, 3)
    assert universe.genes.tolist() == ["A", "", ""]
    assert universe.member_peaks().values.tolist() == [
        *(["chr1", 100, 200], ["chr1", 7000, 7100], ["chrX", 0, 50])
    ]
    assert universe.intervals().iloc[2].tolist() == ["chrX", 0, 5000]
    assert universe.take([2, 0]).names.tolist() == ["chrX:0-5000", "chr1:0-5000"]
    assert len(universe.take(np.array([True, False, False]))) == 1


def test_saved_and_loaded_is_identical(universe, tmp_path):
    universe.save(tmp_path / "a.tsv.gz")
    universe.save(tmp_path / "folder" / "b.tsv.gz")
    assert (tmp_path / "a.tsv.gz").read_bytes() == (tmp_path / "folder" / "b.tsv.gz").read_bytes()
    loaded = Universe.load(tmp_path / "a.tsv.gz")
    for name in ("names", "chrom", "start", "end", "n_peaks", "mean_openness", "genes", "peaks"):
        before, after = getattr(universe, name), getattr(loaded, name)
        assert before.dtype == after.dtype
        assert before.tolist() == after.tolist()
    assert (loaded.genome, loaded.bin_size) == ("hg38", 5000)
    first = gzip.decompress((tmp_path / "a.tsv.gz").read_bytes()).decode().splitlines()[0]
    assert first == "# annatac islands v2 genome=hg38 bin_size=5000"


def test_float32_survives_the_file(universe, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random(3).astype(np.float32)
    odd = Universe(names=universe.names, n_peaks=universe.n_peaks, mean_openness=values, genome="my genome=1")
    odd.save(tmp_path / "a.tsv.gz")
    loaded = Universe.load(tmp_path / "a.tsv.gz")
    assert (loaded.mean_openness == values).all()
    assert loaded.genome == "my genome=1"
    assert loaded.chrom is None


def test_named_features(tmp_path):
    names = ["NA", "CD3E", "null"]
    with pytest.warns(AnnatacWarning, match="no coordinates"):
        islands = peak_islands(_cells([[1, 0, 2]], names, uns={"genome": "hg38"}))
    universe = Universe.from_islands(islands)
    universe.save(tmp_path / "a.tsv.gz")
    loaded = Universe.load(tmp_path / "a.tsv.gz")
    assert loaded.names.tolist() == names
    assert (loaded.chrom, loaded.bin_size, loaded.genome, loaded.member_peaks()) == (None, None, None, None)
    assert loaded.index_of(["null", "CD19"]).tolist() == [2, -1]


def test_custom_genome(reference):
    reference.uns["genome"] = "/data/danRer11.chrom.sizes"
    assert Universe.from_islands(reference).genome == "danRer11"


def test_index_of_reconciles_names(universe):
    wanted = ["chrX:0-5000", "X:0-5000", "1-5000-10000", "chr1:0-5000", "chr7:0-5000", "CD19"]
    assert universe.index_of(wanted).tolist() == [2, 2, 1, 0, -1, -1]
    assert universe.index_of([]).tolist() == []
    assert universe.index_of(wanted).dtype == np.int64


HEADER = "# annatac islands v2 genome=hg38 bin_size=5000\n"
COLUMNS = "name\tchrom\tstart\tend\tn_peaks\tgenes\tpeaks\tmean_openness\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tchrom\nx\ty\n", "is not a table of islands"),
        (HEADER.replace("v2", "v9") + COLUMNS, "format version 9, this annatac reads versions 1 and 2"),
        (HEADER + "name\tchrom\nx\ty\n", "has the columns name, chrom; expected name, chrom, start"),
        (HEADER + COLUMNS, "holds no island"),
        (HEADER, "is damaged"),
        (HEADER + COLUMNS + "a\tchr1\tx\t5\t1\t\t\t0.5\n", "column start"),
        (HEADER + COLUMNS + "a\tchr1\t0\t5\t1\t\t\tnan\n", "column mean_openness: values must be finite"),
        (HEADER + COLUMNS + "a\tchr1\t0\t5\t1\t\t\t0.5\n" * 2, "'a' is there more than once"),
    ],
)
def test_foreign_files_are_refused(tmp_path, text, message):
    path = tmp_path / "islands.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ModelError, match=message):
        Universe.load(path)


def test_names_and_ends_that_can_be_told_are_left_out_and_those_of_version_1_are_read(universe, tmp_path):
    path = tmp_path / "islands.tsv.gz"
    universe.save(path)
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[2:]]
    assert [(row[0], row[3]) for row in rows] == [("", "")] * len(universe)
    old = HEADER.replace("v2", "v1") + COLUMNS
    for name, chrom, start, end in zip(
        universe.names, universe.chrom, universe.start, universe.end, strict=True
    ):
        old += f"{name}\t{chrom}\t{start}\t{end}\t1\t\t\t0.5\n"
    path.write_bytes(gzip.compress(old.encode()))
    loaded = Universe.load(path)
    assert loaded.names.tolist() == universe.names.tolist()
    assert loaded.end.tolist() == universe.end.tolist()
    path.write_bytes(
        gzip.compress((HEADER.replace("5000", "-") + COLUMNS + "\tchr1\t0\t\t1\t\t\t0.5\n").encode())
    )
    with pytest.raises(ModelError, match="column end"):
        Universe.load(path)


def test_missing_and_truncated_files(universe, tmp_path):
    path = tmp_path / "islands.tsv.gz"
    with pytest.raises(ModelError, match="is missing"):
        Universe.load(path)
    universe.save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match="is damaged"):
        Universe.load(path)
    path.write_text("plain text")
    with pytest.raises(ModelError, match="is damaged"):
        Universe.load(path)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_universe_refuses_repeated_names():
    with pytest.raises(InputError, match="'a' is there more than once"):
        Universe.from_islands(ad.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["a", "a"])))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.coo_array])
def test_openness_classes(kind):
    classes = openness_classes(kind(np.array([[0, 1, 4, 5, 6, 300], [0, 0, 0, 0, 0, 0]])))
    assert classes.toarray().tolist() == [[0, 1, 4, 5, 5, 5], [0] * 6]
    assert classes.dtype == np.uint8
    assert classes.data.max() < N_CLASSES


def test_stored_zeros_are_not_tokens():
    x = sp.csr_matrix((np.array([0, 3]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    assert openness_classes(x).nnz == 1
    assert x.nnz == 2  # the caller's matrix is not touched


def test_tokens_in_the_universes_order(universe):
    query = peak_islands(_cells([[7, 2, 1], [0, 0, 4]], ["X:5-9", "1:9-19", "chr9:1-5"]))
    tokens, overlap = tokenize(query, universe)
    assert tokens.toarray().tolist() == [[2, 0, 5], [0, 0, 0]]
    assert tokens.dtype == np.uint8
    assert tokens.has_sorted_indices
    assert overlap.share_of_query_counts_known == pytest.approx(9 / 14)
    assert overlap.share_of_model_islands_measured == pytest.approx(2 / 3)
    assert overlap.median_open_known == 1.0
    assert (overlap.n_shared, overlap.n_query_islands, overlap.n_model_islands) == (2, 3, 3)
    assert overlap.to_dict()["n_shared"] == 2
    assert (overlap.silent_chroms, overlap.share_silent) == ("", 0.0)


def test_a_chromosome_without_a_count_was_not_measured(universe):
    """All islands have a column, as for a fragment file, but chrX (openness 1.75 of 3) has no count."""
    target = universe.index_of(["chrX:0-5000", "chr1:0-5000", "chr1:5000-10000", "chr9:0-5000"])
    found = measured(universe, target, np.array([0.0, 3.0, 0.0, 8.0]))
    assert found["n_shared"] == 3
    assert found["share_of_model_islands_measured"] == pytest.approx(2 / 3)
    assert found["silent_chroms"] == "chrX"
    assert found["share_silent"] == pytest.approx(1.75 / 3)


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_tokens_of_any_matrix(universe, kind):
    rng = np.random.default_rng(0)
    names = ["chrX:0-5000", "X:5000-10000", "1:0-5000", "chr1:5000-10000"]
    x = rng.poisson(2.0, (40, 4))
    make = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}[kind]
    tokens, _ = tokenize(ad.AnnData(make(x), var=pd.DataFrame(index=names)), universe)
    assert (tokens.toarray() == np.minimum(x[:, [2, 3, 0]], 5)).all()


def test_no_island_in_common(universe):
    other = peak_islands(_cells([[1]], ["chr1:100-200"]), bin_size=2000)
    with pytest.raises(OverlapError, match="bins of 2,000 bp, the model of 5,000 bp"):
        tokenize(other, universe)
    with pytest.raises(
        OverlapError, match=r"None of the query's 1 islands .* 'chr9:0-5000', the model's like 'chr1"
    ):
        tokenize(peak_islands(_cells([[1]], ["chr9:1-2"])), universe)


def _profiled(n=2000, seed=0, genome="hg38", order=None):
    mean = np.random.default_rng(7).gamma(1.0, 0.5, n)
    mean = mean if order is None else mean[order]
    x = np.random.default_rng(seed).poisson(mean, (50, n))
    names = [f"chr1:{i * 5000 + 2000}-{i * 5000 + 2500}" for i in range(n)]
    return peak_islands(_cells(x, names, uns={"genome": genome}))


def test_profile_of_a_query():
    universe = Universe.from_islands(_profiled())
    assert check_profile(_profiled(seed=1), universe).r > 0.5
    shuffled = np.random.default_rng(3).permutation(2000)
    with pytest.raises(AssemblyError, match="The query does not look like hg38: over 2,000 shared islands"):
        check_profile(_profiled(seed=1, order=shuffled), universe)
    with pytest.raises(AssemblyError, match=r"The query is on hg19, the model on hg38.*a model for hg19\.$"):
        check_profile(_profiled(genome="GRCh37"), universe)
    with pytest.raises(AssemblyError, match=r"on worm, the model on hg38.*goes by the name of that file"):
        check_profile(_profiled(genome="/data/worm.chrom.sizes"), universe)
    some = np.random.default_rng(3).permutation(2000)
    half = np.where(np.arange(2000) < 200, np.arange(2000), some)
    with pytest.warns(AnnatacWarning, match="Check the assembly of the query"):
        check_profile(_profiled(seed=1, order=half), universe)


def test_chromosomes_without_a_count_say_nothing_of_the_assembly():
    mean = np.random.default_rng(7).gamma(1.0, 0.5, 2000)
    names = [f"chr{i % 20 + 1}:{i // 20 * 5000 + 2000}-{i // 20 * 5000 + 2500}" for i in range(2000)]
    x = np.random.default_rng(0).poisson(mean, (50, 2000))
    universe = Universe.from_islands(peak_islands(_cells(x, names, uns={"genome": "hg38"})))
    x = np.random.default_rng(1).poisson(mean, (50, 2000))
    x[:, [i for i, name in enumerate(names) if not name.startswith(("chr3:", "chr4:"))]] = 0
    match = check_profile(peak_islands(_cells(x, names, uns={"genome": "hg38"})), universe)
    assert match.n_islands == 200
    assert match.r > 0.5


def test_the_profile_of_a_large_query_takes_time_linear_in_its_islands():
    n = 60_000
    names = np.array(
        [f"chr{i % 20 + 1}:{i // 20 * 5000}-{i // 20 * 5000 + 5000}" for i in range(n)], dtype=object
    )
    starts = np.arange(n) // 20 * 5000
    large = Universe(
        names=names,
        n_peaks=np.ones(n, np.int32),
        mean_openness=np.random.default_rng(0).gamma(1, 0.5, n).astype(np.float32),
        chrom=np.array([name.split(":")[0] for name in names], dtype=object),
        start=starts,
        end=starts + 5000,
        genome="hg38",
    )
    began = time.process_time()
    assert check_profile(large, large).r > 0.99
    assert time.process_time() - began < 10  # comparing all with all: more than a minute


def test_stated_genome_of_cells(reference):
    assert check_genome(reference).stated == "hg38"
    reference.uns["genome"] = "danRer11"  # no lengths are known: nothing to compare with
    assert check_genome(reference).stated is None
    far = _cells([[1, 1]], ["chr21:1-2", "chr22:5-9"], uns={"genome": "mm10"})
    with pytest.raises(AssemblyError, match="2 of 2 features lie outside mm10"):
        check_genome(far)
    assert check_genome(far, genome="hg19").fits == ("hg19", "hg38")
    assert check_genome(_cells([[1]], ["CD19"])) is None


@pytest.mark.dataset("granja2019_bmmc_d6t1", "buenrostro2018_bm0828")
def test_a_legitimate_query_of_little_overlap_passes(dataset):
    universe = Universe.from_islands(peak_islands(dataset("granja2019_bmmc_d6t1")[:2000].copy()))
    query = peak_islands(dataset("buenrostro2018_bm0828"))
    _, overlap = tokenize(query, universe)
    assert overlap.share_of_query_counts_known < 0.1
    assert not check_profile(query, universe).doubtful
