"""The slots that annotate writes, its rules by hand, and queries that cannot be named."""

from __future__ import annotations

import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import annatac
from annatac import datasets, keys, tl
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError, OverlapError
from annatac.genome.intervals import overlaps_any
from annatac.pp import peak_islands
from annatac.pp.quality import MIN_OPEN

OBS = (
    "annatac_label", "annatac_confidence", "annatac_novelty", "annatac_is_novel", "annatac_reason",
    "annatac_n_open", "annatac_label_safe", "annatac_doublet_score",
)  # fmt: skip


def same_slots(a: ad.AnnData, b: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(
        a.obs[list(OBS)].reset_index(drop=True), b.obs[list(OBS)].reset_index(drop=True)
    )
    for name in ("annatac_probabilities", "X_annatac"):
        assert np.array_equal(a.obsm[name], b.obsm[name]), name


# ------------------------------------------------------------------------------------------- slots


def test_slots_types_and_shapes(named, query, annotator, types):
    result = named()
    obs = result.obs
    assert isinstance(obs["annatac_label"].dtype, pd.CategoricalDtype)
    assert obs["annatac_label"].cat.categories.tolist() == [*types, "Novel_cell_type"]
    assert obs["annatac_confidence"].dtype == obs["annatac_novelty"].dtype == np.float32
    assert obs["annatac_is_novel"].dtype == bool
    assert isinstance(obs["annatac_reason"].dtype, pd.CategoricalDtype)
    assert set(obs["annatac_reason"]) <= set(keys.REASONS)
    assert obs["annatac_n_open"].dtype == np.int32
    probabilities = result.obsm["annatac_probabilities"]
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (query.n_obs, len(types))
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    width = annotator.artifact.recipe.model.head_hidden[-1]
    assert result.obsm["X_annatac"].dtype == np.float32
    assert result.obsm["X_annatac"].shape == (query.n_obs, width)
    assert np.isfinite(result.obsm["X_annatac"]).all()
    assert obs[["annatac_confidence", "annatac_novelty"]].stack().between(0, 1).all()
    uns = result.uns["annatac"]
    assert uns["classes"].tolist() == types
    assert uns["model_id"] == annotator.artifact.model_id
    assert uns["schema_version"] == 1
    assert uns["annatac_version"] == annatac.__version__
    assert uns["parameters"] == {
        "novelty_method": "evidence", "novelty_rate": 0.05, "min_open": MIN_OPEN, "safe_level": 0.95,
        "adapt": False,
    }  # fmt: skip
    assert not [slot for slot in (*result.obs, *result.obsm, *result.uns) if any(t in slot for t in types)]


def test_it_names_cells(named, query):
    """The debug recipe is no good annotator, but it is far from guessing."""
    named_cells = named(novelty_threshold=0.0)
    accuracy = (named_cells.obs["annatac_label"].astype(str) == query.obs["cell_type"].astype(str)).mean()
    assert accuracy > 0.6


def test_the_query_is_otherwise_untouched(named, query, annotator):
    before = query.copy()
    assert tl.annotate(query, annotator) is None
    assert query.obs_names.equals(before.obs_names)
    assert (query.X != before.X).nnz == 0
    assert query.X.dtype == before.X.dtype
    pd.testing.assert_frame_equal(query.var, before.var)
    pd.testing.assert_frame_equal(query.obs[before.obs.columns], before.obs)
    assert set(query.obs) - set(before.obs) == set(OBS)
    assert set(query.obsm) == {"annatac_probabilities", "X_annatac"}
    assert set(query.uns) - set(before.uns) == {"annatac"}


def test_copy_leaves_the_query_alone(query, annotator):
    columns = list(query.obs)
    result = tl.annotate(query, annotator, copy=True)
    assert list(query.obs) == columns
    assert not query.obsm
    assert "annatac" not in query.uns
    tl.annotate(query, annotator)
    same_slots(result, query)


def test_a_path_serves_as_model(query, annotator, model_folder, named):
    same_slots(tl.annotate(query, model_folder, copy=True), named())
    same_slots(tl.annotate(query, str(model_folder), copy=True), named())


def test_a_second_annotation_replaces_the_first(query, annotator, named):
    tl.annotate(query, annotator, novelty_threshold=0.9)
    tl.annotate(query, annotator)
    same_slots(query, named())


def test_what_is_written_survives_a_file(named, tmp_path):
    result = named()
    result.write_h5ad(tmp_path / "out.h5ad")
    again = ad.read_h5ad(tmp_path / "out.h5ad")
    same_slots(again, result)
    assert again.uns["annatac"]["classes"].tolist() == result.uns["annatac"]["classes"].tolist()
    assert again.uns["annatac"]["overlap"]["n_shared"] == result.uns["annatac"]["overlap"]["n_shared"]


# ------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8, 1.0])
def test_the_published_rule_by_hand(named, query, annotator, threshold, types):
    """The softmax before calibration decides; the label is the best type all the same."""
    result = named(novelty_threshold=threshold, min_open=0)
    softmax = annotator.predict(annotator.tokens(query)[0]).probabilities
    for cell, probabilities in enumerate(result.obsm["annatac_probabilities"]):
        row = result.obs.iloc[cell]
        best = max(range(len(types)), key=lambda k: probabilities[k])
        assert row["annatac_confidence"] == probabilities[best]
        assert row["annatac_novelty"] == np.float32(1 - softmax[cell].max())
        is_novel = softmax[cell].max() < threshold
        assert row["annatac_is_novel"] == is_novel
        assert row["annatac_label"] == ("Novel_cell_type" if is_novel else types[best])
        assert (row["annatac_reason"] == "novel") == is_novel
    n_novel = result.obs["annatac_is_novel"].sum()
    assert (n_novel == 0) if threshold == 0 else (n_novel > 0)
    assert result.uns["annatac"]["parameters"]["novelty_method"] == "softmax"


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_a_cell_is_novel_above_the_rate_of_held_out_cells(named, rate):
    obs = named(novelty_rate=rate, min_open=0).obs
    assert (obs["annatac_is_novel"] == (obs["annatac_novelty"] > 1 - rate)).all()
    assert ((obs["annatac_reason"] == "novel") == obs["annatac_is_novel"]).all()


def test_reasons_in_their_order_by_hand(named):
    result = named(novelty_rate=0.3)
    second, best = np.sort(result.obsm["annatac_probabilities"], axis=1)[:, -2:].T
    obs = result.obs
    for cell in range(result.n_obs):
        row = obs.iloc[cell]
        wanted = "ambiguous" if second[cell] > 0.5 * best[cell] else ""
        wanted = "doublet" if row["annatac_doublet_score"] > 0.99 else wanted
        wanted = "novel" if row["annatac_is_novel"] else wanted
        assert row["annatac_reason"] == ("low_quality" if row["annatac_n_open"] < MIN_OPEN else wanted)


def thinned(adata: ad.AnnData, cell: int, n_kept: int, annotator) -> None:
    """Leave a cell the counts of ``n_kept`` islands that the model knows."""
    islands = peak_islands(adata)
    known = annotator.artifact.universe.index_of(islands.var_names) >= 0
    row = islands.X[cell].toarray()[0] > 0
    peaks = [p.split(";") for p in islands.var["peaks"][row & known][:n_kept]]
    chroms = islands.var["chrom"][row & known][:n_kept]
    wanted = {f"{c}:{p}" for c, ps in zip(chroms, peaks, strict=True) for p in ps}
    dense = adata.X.tolil()
    for column in np.flatnonzero(~adata.var_names.isin(wanted)):
        dense[cell, column] = 0
    adata.X = dense.tocsr()


@pytest.mark.parametrize("min_open", [0, MIN_OPEN])
def test_a_cell_without_a_known_island_gets_the_prior(query, annotator, named, min_open):
    thinned(query, 4, 0, annotator)
    result = named(query, min_open=min_open, novelty_threshold=0.99)
    counts = annotator.artifact.training["cells_per_type"]
    prior = np.array([counts[name] for name in annotator.classes]) / sum(counts.values())
    np.testing.assert_allclose(result.obsm["annatac_probabilities"][4], prior, rtol=1e-6)
    row = result.obs.iloc[4]
    assert (row["annatac_n_open"], row["annatac_reason"]) == (0, "low_quality")
    assert row["annatac_label"] == annotator.classes[int(prior.argmax())]
    assert not row["annatac_is_novel"], "only novel changes the label"
    others = np.delete(np.arange(query.n_obs), 4)
    untouched = named(min_open=min_open, novelty_threshold=0.99)
    assert np.array_equal(
        result.obs["annatac_label"].iloc[others], untouched.obs["annatac_label"].iloc[others]
    )


def test_shallow_cells_are_flagged_not_dropped(query, annotator, named):
    thinned(query, 0, MIN_OPEN - 1, annotator)
    thinned(query, 1, MIN_OPEN, annotator)
    result = named(query)
    assert result.obs["annatac_n_open"].iloc[:2].tolist() == [MIN_OPEN - 1, MIN_OPEN]
    assert result.obs["annatac_reason"].iloc[0] == "low_quality"
    assert result.obs["annatac_reason"].iloc[1] != "low_quality"
    assert result.n_obs == query.n_obs


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range(query, annotator, threshold):
    with pytest.raises(ConfigError, match=r"novelty threshold is .*; 0 to 1 is expected"):
        tl.annotate(query, annotator, novelty_threshold=threshold)


# ------------------------------------------------------------------------- one query, many dresses


def _as(kind: str, adata: ad.AnnData, tmp_path) -> ad.AnnData:
    if kind == "dense":
        adata.X = adata.X.toarray()
    elif kind == "csc":
        adata.X = sp.csc_matrix(adata.X)
    elif kind == "float":
        adata.X = adata.X.astype(np.float64)
    elif kind == "backed":
        adata.write_h5ad(tmp_path / "query.h5ad")
        adata = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
    elif kind == "shuffled peaks":
        adata = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    elif kind == "islands":
        adata = peak_islands(adata)
    elif kind == "view":
        adata = adata[:]
    elif kind in ("1:2-3", "chr1-2-3", "chr1_2_3"):
        var = adata.var
        chrom = var["chrom"].str.removeprefix("chr") if kind == "1:2-3" else var["chrom"]
        first, second = {"1:2-3": ":-", "chr1-2-3": "--", "chr1_2_3": "__"}[kind]
        names = chrom + first + var["start"].astype(str) + second + var["end"].astype(str)
        adata.var = pd.DataFrame(index=pd.Index(names.to_numpy()))
    elif kind == "columns only":
        adata.var_names = [f"peak{i}" for i in range(adata.n_vars)]
    return adata


KINDS = (
    "dense", "csc", "float", "backed", "shuffled peaks", "islands", "1:2-3", "chr1-2-3", "chr1_2_3",
    "columns only",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_cells_get_the_same_names(query, named, tmp_path, kind):
    wanted = named()
    dressed = _as(kind, query.copy(), tmp_path)
    result = named(dressed)
    same_slots(result, wanted)
    assert not result.isbacked


def test_in_place_on_backed_cells(query, annotator, named, tmp_path):
    backed = _as("backed", query, tmp_path)
    tl.annotate(backed, annotator)
    same_slots(backed, named())


def test_one_cell_alone_is_named_as_among_others(query, named):
    together = named()
    for cell in (0, 31):
        alone = named(query[[cell]].copy())
        np.testing.assert_allclose(
            alone.obsm["annatac_probabilities"][0], together.obsm["annatac_probabilities"][cell], atol=1e-5
        )


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_do_not_matter(query, annotator, batch_size):
    tokens, _ = annotator.tokens(query)
    done = []
    some = annotator.predict(tokens, batch_size=batch_size, on_progress=done.append)
    np.testing.assert_allclose(some.probabilities, annotator.predict(tokens).probabilities, atol=1e-5)
    assert done[-1] == query.n_obs
    assert done == sorted(done)


# ----------------------------------------------------------------------------------------- overlap


def test_the_overlap_by_hand(query, annotator, named):
    universe = annotator.artifact.universe
    islands = peak_islands(query)
    known = universe.index_of(islands.var_names) >= 0
    some = query[:, ~query.var["chrom"].isin(["chr1", "chr2"]).to_numpy()].copy()
    extra = pd.DataFrame(
        {"chrom": ["chr1"] * 2, "start": [10_000, 15_000], "end": [10_500, 15_500]},
        index=["chr1:10000-10500", "chr1:15000-15500"],
    )
    assert (universe.index_of(["chr1:10000-15000", "chr1:15000-20000"]) < 0).all()
    x = sp.hstack([some.X, sp.csr_matrix(np.tile([[1, 0]], (60, 1)))], format="csr")
    wider = ad.AnnData(x, obs=some.obs, var=pd.concat([some.var, extra]), uns=dict(query.uns))
    with pytest.warns(AnnatacWarning, match="no count on chr1, chr2, chromosomes with .*% of the openness"):
        overlap = named(wider).uns["annatac"]["overlap"]
    left = known & ~islands.var["chrom"].isin(["chr1", "chr2"]).to_numpy()
    within = overlaps_any(some.var[["chrom", "start", "end"]], universe.member_peaks())
    assert overlap["n_shared"] == left.sum()
    assert overlap["n_model_islands"] == len(universe)
    assert overlap["n_query_islands"] == left.sum()  # peaks that the reference lacks make no island
    assert overlap["share_of_model_islands_measured"] == pytest.approx(left.sum() / len(universe))
    wanted = some.X[:, within].sum() / (some.X.sum() + 60)
    assert overlap["share_of_query_counts_known"] == pytest.approx(wanted)
    assert overlap["silent_chroms"] == "chr1, chr2"
    silent = np.isin(universe.chrom, ["chr1", "chr2"])
    assert overlap["share_silent"] == pytest.approx(
        universe.mean_openness[silent].sum() / universe.mean_openness.sum(), rel=1e-5
    )
    open_known = (islands.X[:, left].toarray() > 0).sum(1)
    assert overlap["median_open_known"] == np.median(open_known)


def test_too_few_known_open_islands(query, annotator):
    peaks = peak_islands(query).var["peaks"][:8]
    few = query[:, [f"{c}:{p}" for c, ps in zip(peak_islands(query).var["chrom"][:8], peaks, strict=True)
                    for p in ps.split(";")]].copy()  # fmt: skip
    with pytest.raises(OverlapError, match=r"median cell has [0-4](\.5)? open islands that the model knows"):
        tl.annotate(few, annotator)
    assert "annatac_label" not in few.obs
    with pytest.raises(OverlapError, match="Count the query's fragments in the model's islands"):
        tl.annotate(few, annotator)
    random = np.random.default_rng(0)
    for first, last in itertools.pairwise(query.X.indptr):  # every island is measured, hardly one is open
        query.X.data[first + random.permutation(last - first)[3:]] = 0
    with pytest.raises(OverlapError, match="too shallow for this model"):
        tl.annotate(query, annotator)


def test_no_island_in_common(query, annotator):
    query.var[["start", "end"]] += 200_000_000 // 5000 * 5000
    query.var_names = [
        f"{c}:{s}-{e}" for c, s, e in zip(query.var.chrom, query.var.start, query.var.end, strict=True)
    ]
    with pytest.raises(OverlapError, match=r"None of the query's .* peaks overlaps one of the model's"):
        tl.annotate(query, annotator)


def test_what_is_open_beside_the_reference_peaks_is_left_out(query, annotator):
    universe = annotator.artifact.universe
    tokens, overlap = annotator.tokens(query)
    beside = universe.member_peaks().iloc[::3]
    ends = beside["end"].to_numpy()
    free = pd.DataFrame({"chrom": beside["chrom"].to_numpy(), "start": ends + 5, "end": ends + 25})
    free = free[~overlaps_any(free, universe.member_peaks())].drop_duplicates()
    assert len(free) > 50
    free.index = [f"{c}:{s}-{e}" for c, s, e in free.itertuples(index=False)]
    x = sp.hstack([query.X, sp.csr_matrix(np.full((query.n_obs, len(free)), 5))], format="csr")
    var = pd.concat([query.var[["chrom", "start", "end"]], free])
    wider = ad.AnnData(x, obs=query.obs, var=var, uns=dict(query.uns))
    found, wider_overlap = annotator.tokens(wider)
    assert (found != tokens).nnz == 0
    assert wider_overlap.share_of_query_counts_known < 0.9 * overlap.share_of_query_counts_known


def test_features_without_coordinates(query, annotator):
    query.var = pd.DataFrame(index=[f"gene{i}" for i in range(query.n_vars)])
    with (
        pytest.warns(AnnatacWarning, match="no coordinates"),
        pytest.raises(OverlapError, match="look like 'gene0', the model's like 'chr"),
    ):
        tl.annotate(query, annotator)


def test_a_foreign_assembly_is_refused(query, annotator, monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)
    query.uns[keys.GENOME] = "hg19"
    with pytest.raises(AssemblyError, match="The query is on hg19, the model on hg38"):
        tl.annotate(query, annotator)


def test_an_assembly_that_is_not_stated_is_accepted(query, named):
    wanted = named()
    del query.uns[keys.GENOME]
    same_slots(named(query), wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a[:0].copy(), "0 cells"),
        (lambda a: ad.AnnData(a.X * 0, obs=a.obs, var=a.var), "nothing to annotate"),
        (lambda a: ad.AnnData(a.X * -1, obs=a.obs, var=a.var), "negative"),
        (lambda a: ad.AnnData(a.X * 0.3, obs=a.obs, var=a.var), "fractions"),
    ],
    ids=["no cells", "all zero", "negative", "fractions"],
)
def test_cells_that_are_no_counts(query, annotator, change, words):
    with pytest.raises(InputError, match=words):
        tl.annotate(change(query), annotator)


def test_every_cell_of_a_batch_may_be_empty(annotator):
    nothing = sp.csr_matrix((300, len(annotator.artifact.universe)), dtype=np.uint8)
    predicted = annotator.predict(nothing)
    assert np.isfinite(predicted.embedding).all()
    np.testing.assert_allclose(predicted.probabilities, np.tile(annotator.prior, (300, 1)))


def test_a_device_that_is_not_there(query, annotator):
    with pytest.raises(ConfigError, match=r"No device 'gpu'.*cuda"):
        tl.annotate(query, annotator, device="gpu")
