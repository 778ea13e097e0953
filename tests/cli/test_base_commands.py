"""From unlabelled cells of one's own to a base, a model started from it, and what the base gave; what is refused."""

from __future__ import annotations

import anndata as ad
import pytest

from annatac.cli import main


@pytest.fixture(scope="module")
def base(inputs, tmp_path_factory):
    """A base pre-trained on the query and the reference, whose labels are removed first."""
    folder = tmp_path_factory.mktemp("bases")
    for name in ("query", "reference"):
        cells = ad.read_h5ad(inputs / f"{name}.h5ad")
        cells.obs = cells.obs[[]]
        cells.write_h5ad(folder / f"{name}.h5ad")
    files = [str(folder / "query.h5ad"), str(folder / "reference.h5ad")]
    assert main(["pretrain", *files, "-o", str(folder / "base"), "--recipe", "debug", "--epochs", "1"]) == 0
    return folder / "base"


@pytest.fixture(scope="module")
def based(inputs, base, tmp_path_factory):
    """A model fine-tuned from that base."""
    folder = tmp_path_factory.mktemp("based") / "based"
    arguments = [
        "finetune",
        inputs / "reference.h5ad",
        "-o",
        folder,
        "--label-key",
        "cell_type",
        "--base",
        base,
    ]
    assert main([*map(str, arguments), "--recipe", "debug", "--epochs", "1"]) == 0
    return folder


def test_a_base_of_ones_own_cells_is_started_from(run, inputs, base, based, outputs):
    shown = run("models", "info", base)
    assert "base" in shown.out
    assert "360 unlabelled cells" in shown.out
    done = run("annotate", inputs / "query.h5ad", "--model", based, "-o", outputs / "out.h5ad")
    assert done.code == 0, done.err
    assert ad.read_h5ad(outputs / "out.h5ad").uns["annatac"]["classes"].size == 4


def test_what_pre_training_gave_is_one_picture(run, model, based, outputs):
    picture = outputs / "learning.png"
    done = run("plot", "learning", model, based, "-o", picture)
    assert done.code == 0, done.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    alone = run("plot", "learning", model, "-o", outputs / "x.png")
    assert alone.code == 2
    assert "two or more are compared" in alone.err.replace("\n", " ")
    unnamed = run("plot", "learning", model, based, "--name", "plain", "-o", outputs / "x.png")
    assert unnamed.code == 2
    assert "1 names are given for 2 models" in unnamed.err
    assert list(outputs.iterdir()) == [picture]
