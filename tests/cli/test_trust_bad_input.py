"""Confidence, sets, novelty and safe labels at the command line: what is refused, and unusual queries that are not."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp


@pytest.fixture
def refused(run, outputs):
    """``refused(words, option, value, ...)``: `annotate` fails in one line with these words; nothing is written."""

    def check(words, query, model, *arguments):
        done = run("annotate", query, "--model", model, "-o", outputs / "out.h5ad", *arguments)
        assert done.code == 2, (done.code, done.out, done.err)
        assert "Traceback" not in done.err
        assert sum(line.startswith("error: ") for line in done.err.splitlines()) == 1, done.err
        assert words in " ".join(done.err.split())
        assert list(outputs.iterdir()) == []

    return check


@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "1.5"])
def test_rates_outside_0_and_1(refused, inputs, model, rate):
    query = inputs / "query.h5ad"
    refused(
        f"error rate is {float(rate):g}; a number over 0 and under 1", query, model, f"--error-rate={rate}"
    )
    refused(
        f"novelty rate is {float(rate):g}; a number over 0 and under 1",
        query,
        model,
        f"--novelty-rate={rate}",
    )


def test_hierarchies_that_are_none(refused, inputs, model, tmp_path, annotated):
    types = list(ad.read_h5ad(annotated, backed="r").uns["annatac"]["classes"])
    query, tree = inputs / "query.h5ad", tmp_path / "tree.csv"
    rows = [f"{name},a" for name in types]
    tree.write_text("\n".join(["child,parent", *rows, "a,b", "b,c", "c,a"]))
    refused("goes in a circle: a -> b -> c -> a", query, model, "--hierarchy", tree)
    tree.write_text("\n".join(["child,parent", *rows[1:], "someone else,a"]))
    refused(f"lacks 1 of the model's {len(types)} types: {types[0]}", query, model, "--hierarchy", tree)
    refused("No hierarchy at", query, model, "--hierarchy", tmp_path / "nowhere.csv")


def test_types_of_few_held_out_cells_are_pooled_and_named(run, inputs, model, outputs):
    """At 0.001 a type needs 999 held-out cells: none has them."""
    out = outputs / "out.h5ad"
    done = run("annotate", inputs / "query.h5ad", "--model", model, "-o", out, "--error-rate", 0.001)
    assert done.code == 0, done.err
    written = ad.read_h5ad(out)
    classes = list(written.uns["annatac"]["classes"])
    assert "Too few held-out cells for a guarantee of their own" in done.err + done.out
    assert all(name in done.err + done.out for name in classes)
    assert list(written.uns["annatac"]["pooled_types"]) == classes
    assert written.obsm["annatac_prediction_set"].any(1).mean() > 0.95


def test_a_query_of_one_cell(run, query, model, outputs, tmp_path):
    """It gets what it gets among the others."""
    alone, among = outputs / "alone.h5ad", outputs / "among.h5ad"
    query[3].copy().write_h5ad(tmp_path / "one.h5ad")
    query.write_h5ad(tmp_path / "all.h5ad")
    for path, out in ((tmp_path / "one.h5ad", alone), (tmp_path / "all.h5ad", among)):
        done = run("annotate", path, "--model", model, "-o", out, "--error-rate", 0.1)
        assert done.code == 0, done.err
    one, others = ad.read_h5ad(alone), ad.read_h5ad(among)
    assert (
        one.obs["annatac_label"].astype(str).tolist() == others.obs["annatac_label"].astype(str).tolist()[3:4]
    )
    for slot in ("annatac_confidence", "annatac_novelty", "annatac_doublet_score"):
        assert one.obs[slot].iloc[0] == pytest.approx(others.obs[slot].iloc[3], abs=1e-5)
    assert np.array_equal(one.obsm["annatac_prediction_set"], others.obsm["annatac_prediction_set"][3:4])


def test_a_query_of_novel_cells_alone(run, query, model, outputs, tmp_path):
    """Half of their islands are others': every number is there, and more are called novel than of known types."""
    random = np.random.default_rng(1)
    order, half = np.arange(query.n_vars), random.permutation(query.n_vars)[: query.n_vars // 2]
    order[half] = random.permutation(half)
    strange = query.copy()
    strange.X = sp.csr_matrix(strange.X)[:, order]
    shares = []
    for name, cells in (("known", query), ("strange", strange)):
        cells.write_h5ad(tmp_path / f"{name}.h5ad")
        out = outputs / f"{name}.h5ad"
        done = run("annotate", tmp_path / f"{name}.h5ad", "--model", model, "-o", out, "--error-rate", 0.1)
        assert done.code == 0, done.err
        written = ad.read_h5ad(out)
        shares.append(written.obs["annatac_is_novel"].mean())
        assert np.isfinite(written.obs[["annatac_confidence", "annatac_novelty"]]).all(axis=None)
        assert np.isfinite(written.obsm["annatac_probabilities"]).all()
    assert shares[1] > max(0.3, 2 * shares[0])


def test_a_model_without_its_reference_is_calibrated_all_the_same(run, inputs, tmp_path, outputs):
    folder, out = tmp_path / "model", outputs / "out.h5ad"
    arguments = [inputs / "reference.h5ad", "-o", folder, "--label-key", "cell_type", "--recipe", "debug"]
    done = run("finetune", *arguments, "--epochs", 1, "--no-keep-reference")
    assert done.code == 0, done.err
    assert not (folder / "reference.safetensors").exists()
    done = run("annotate", inputs / "query.h5ad", "--model", folder, "-o", out, "--error-rate", 0.1)
    assert done.code == 0, done.err
    written = ad.read_h5ad(out)
    assert written.uns["annatac"]["parameters"]["novelty_method"] == "evidence"
    assert {"annatac_doublet_score", "annatac_novelty"} <= set(written.obs)
    assert "annatac_prediction_set" in written.obsm
