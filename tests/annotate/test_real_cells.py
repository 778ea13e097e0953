"""Real cells: the same ones from fragments and from peaks, features by name, and thinned cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import annatac
from annatac import tl
from annatac.config import Recipe
from annatac.corpus import collate
from annatac.errors import AnnatacWarning
from annatac.genome.intervals import intervals_of
from annatac.simulate import simulate_cells


@pytest.fixture(scope="module")
def progenitors(tmp_path_factory):
    """A model of blood progenitors, on the chromosomes of the fragments."""
    from annatac import datasets
    from annatac.errors import MissingFileError

    try:
        reference = datasets.load("buenrostro2018_bm0828")
    except MissingFileError:
        pytest.skip("data set 'buenrostro2018_bm0828' is not on this machine")
    chrom = intervals_of(reference.var)["chrom"].isin(["chr5", "chr11"]).to_numpy()
    output = tmp_path_factory.mktemp("progenitors") / "model"
    annatac.finetune(reference[:, chrom].copy(), label_key="cell_type", output=output, recipe="debug")
    return annatac.load(output)


@pytest.mark.dataset("pbsmall_fragments", "buenrostro2018_bm0828")
@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
def test_fragments_and_peaks_give_the_same_labels(progenitors, dataset_path):
    path = dataset_path("pbsmall_fragments")
    from_fragments = progenitors.read(path, genome="hg19")
    assert from_fragments.n_obs == 150
    from_peaks = annatac.read(path, genome="hg19", peaks=progenitors.artifact.universe.member_peaks())
    assert "annatac_islands" not in from_peaks.uns, "peaks, not islands"
    assert from_peaks.n_vars > from_fragments.n_vars
    other_style = from_peaks.copy()
    names = [f"{c.removeprefix('chr')}-{s}-{e}" for c, s, e in
             zip(from_peaks.var.chrom, from_peaks.var.start, from_peaks.var.end, strict=True)]  # fmt: skip
    other_style.var = pd.DataFrame(index=names)
    for adata in (from_fragments, from_peaks, other_style):
        tl.annotate(adata, progenitors)
    order = from_fragments.obs_names
    for adata in (from_peaks, other_style):
        at = adata.obs_names.get_indexer(order)
        assert (at >= 0).all()
        assert np.array_equal(
            from_fragments.obsm["annatac_probabilities"], adata.obsm["annatac_probabilities"][at]
        )
        labels = adata.obs["annatac_label"].astype(str).to_numpy()[at]
        assert np.array_equal(from_fragments.obs["annatac_label"].astype(str).to_numpy(), labels)
    assert from_fragments.obs["annatac_n_open"].median() >= 5


@pytest.mark.dataset("buenrostro2018_bm0828")
def test_it_learns_real_types(progenitors):
    """Seven sorted types on two chromosomes: well above the 26 % of the most frequent one."""
    assert progenitors.artifact.metrics["held_out"]["accuracy"] > 0.4


def test_features_by_name(tmp_path):
    """Without coordinates the features are matched by name; the assembly plays no part."""
    cells = simulate_cells(120, cell_types=2, n_islands=80, open_islands=40, seed=1)
    cells.var = pd.DataFrame(index=[f"region_{i}" for i in range(cells.n_vars)])
    reference, query = cells[:80].copy(), cells[80:, ::-1].copy()
    with pytest.warns(AnnatacWarning, match="no coordinates"):
        annatac.finetune(reference, label_key="cell_type", output=tmp_path / "m", recipe="debug")
    model = annatac.load(tmp_path / "m")
    assert not model.artifact.universe.has_coordinates
    query.uns["genome"] = "mm10"
    named = tl.annotate(query, model, copy=True)
    straight = tl.annotate(query[:, ::-1].copy(), model, copy=True)
    assert np.array_equal(named.obsm["annatac_probabilities"], straight.obsm["annatac_probabilities"])
    assert (named.obs["annatac_n_open"] > 10).all()


def test_a_trained_network_keeps_the_vectors_of_thinned_cells(tmp_path):
    """1,000 open islands thinned to half: cosine above 0.9, nearer to itself than to the other types."""
    cells = simulate_cells(160, cell_types=4, n_islands=4000, open_islands=1000, donors=2, seed=1)
    shipped = Recipe.load("default")
    short = replace(shipped.finetune, epochs=2, batch_size=16, warmup_steps=0, wide_folds=2)
    recipe = replace(shipped, finetune=short, model=replace(shipped.model, wide=False))
    model = annatac.finetune(cells, label_key="cell_type", output=tmp_path / "m", recipe=recipe)
    tokens, _ = model.tokens(cells)
    n_open = np.diff(tokens.indptr)
    chosen = np.flatnonzero(n_open >= 1000)[:40]
    assert len(chosen) >= 20
    half = sp.csr_matrix(tokens[chosen])
    keep = np.random.default_rng(0).random(half.nnz) < 0.5
    with torch.inference_mode():
        whole = model.artifact.network(collate(tokens, chosen))
        thin = model.artifact.network(collate(half, np.arange(len(chosen)), keep))
    cosine = torch.nn.functional.cosine_similarity(whole.embedding_BD, thin.embedding_BD, dim=1)
    assert cosine.min() > 0.9
    spread = (whole.embedding_BD[:, None] - whole.embedding_BD[None]).norm(dim=-1).median()
    moved = (whole.embedding_BD - thin.embedding_BD).norm(dim=1).median()
    assert moved < spread, "a thinned cell moves less than cells differ"
