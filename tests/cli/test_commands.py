"""Every command on small data: exit code, what is said, what is written."""

from __future__ import annotations

import gzip
import json
import os
import signal

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import datasets, keys
from annatac.cli.terminal import counted
from annatac.model import artifact
from annatac.train.finetune import FinetuneTask


def written_fragments(path, cells):
    """Write the cells' counts as fragments of 60 bp in the middle of each peak, one a count."""
    x = cells.X.tocoo()
    n = x.data.astype(int)
    middle = (cells.var["start"] + 220).to_numpy()[x.col].repeat(n)
    table = pd.DataFrame(
        {
            "chrom": cells.var["chrom"].astype(str).to_numpy()[x.col].repeat(n),
            "start": middle,
            "end": middle + 60,
            "barcode": cells.obs_names.to_numpy()[x.row].repeat(n),
            "n": 1,
        }
    ).sort_values(["chrom", "start"])
    path.write_bytes(gzip.compress(table.to_csv(sep="\t", header=False, index=False).encode()))
    return path


def test_prepare(run, inputs, outputs, tmp_path):
    labels = tmp_path / "types.csv"
    names = ad.read_h5ad(inputs / "query.h5ad").obs_names
    labels.write_text("barcode,cell_type\n" + "".join(f"{name},T\n" for name in names[:50]))
    out = outputs / "islands.h5ad"
    done = run("prepare", inputs / "query.h5ad", "-o", out, "--labels", labels, "--openness", "sum")
    assert done.code == 0, done.err
    assert "120 cells x 1,200 islands on hg38" in done.out
    assert f"Written: {out}" in done.out
    cells = ad.read_h5ad(out)
    assert cells.shape == (120, 1200)
    assert cells.X.dtype == np.int32
    assert cells.obs["cell_type"].notna().sum() == 50
    assert {keys.N_OPEN, keys.LOW_QUALITY} <= set(cells.obs)
    assert cells.uns[keys.ISLANDS]["openness"] == "sum"
    assert [path.name for path in outputs.iterdir()] == ["islands.h5ad"]


def test_prepare_joins_inputs_and_takes_islands_with_a_start_site(run, inputs, outputs, query):
    genes = outputs.parent / "genes.bed"
    chosen = query.var.iloc[::20]
    lines = zip(chosen["chrom"], chosen["start"], chosen["end"], range(len(chosen)), strict=True)
    genes.write_text("".join(f"{c}\t{s}\t{e + 4000}\tG{i}\t0\t+\n" for c, s, e, i in lines))
    both = [inputs / "reference.h5ad", inputs / "query.h5ad"]
    out = outputs / "both.h5ad"
    done = run("prepare", *both, "-o", out, "--islands", "tss", "--gtf", genes)
    assert done.code == 0, done.err
    cells = ad.read_h5ad(out)
    assert cells.n_obs == 360
    assert set(cells.obs["sample"]) == {"reference", "query"}
    assert (cells.var["genes"] != "").all()


def test_finetune_writes_a_model_and_says_how_good_it_is(run, inputs, outputs):
    out = outputs / "model"
    options = ["--label-key", "cell_type", "--batch-key", "donor", "--recipe", "debug", "--no-keep-reference"]
    done = run("finetune", inputs / "reference.h5ad", "-o", out, *options, "--epochs", 1, "--threads", 1)
    assert done.code == 0, done.err
    assert "Trained on 240 cells of 4 types" in done.out
    assert "held out (whole batches)" in done.out
    assert [path.name for path in outputs.iterdir()] == ["model"]
    assert not (out / "reference.safetensors").exists()
    assert artifact.load(out).recipe.finetune.epochs == 1
    again = run("finetune", inputs / "reference.h5ad", "-o", out, *options)
    assert again.code == 2
    assert "exists already. Pass --overwrite" in again.err


def test_interrupted_and_resumed_training_ends_as_if_nothing_had_been(run, inputs, outputs, monkeypatch):
    base = [inputs / "reference.h5ad", "--label-key", "cell_type", "--recipe", "debug"]
    loss, calls = FinetuneTask.loss, []

    def interrupted(task, asked):
        calls.append(asked)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(task, asked)

    monkeypatch.setattr(FinetuneTask, "loss", interrupted)
    stopped = run("finetune", *base, "-o", outputs / "model")
    assert stopped.code == 130
    assert "--resume" in stopped.err
    assert "Traceback" not in stopped.err
    assert not (outputs / "model").exists()
    monkeypatch.setattr(FinetuneTask, "loss", loss)
    assert run("finetune", *base, "-o", outputs / "model", "--resume").code == 0
    assert run("finetune", *base, "-o", outputs / "whole").code == 0
    assert sorted(path.name for path in outputs.iterdir()) == ["model", "whole"]
    assert artifact.load(outputs / "model").model_id == artifact.load(outputs / "whole").model_id


def test_pretrain_then_finetune_from_it(run, inputs, outputs):
    done = run(
        "pretrain", inputs / "reference.h5ad", "-o", outputs / "base", "--recipe", "debug", "--epochs", 1
    )
    assert done.code == 0, done.err
    assert "finetune --base" in done.out
    named = run("annotate", inputs / "query.h5ad", "--model", outputs / "base", "-o", outputs / "out.h5ad")
    assert named.code == 2
    assert "base model" in named.err
    options = ["--label-key", "cell_type", "--recipe", "debug", "--epochs", 1, "--base", outputs / "base"]
    assert run("finetune", inputs / "reference.h5ad", "-o", outputs / "model", *options).code == 0


def test_annotate_writes_slots_and_table(run, inputs, model, outputs):
    out, csv = outputs / "out.h5ad", outputs / "labels.csv"
    done = run("annotate", inputs / "query.h5ad", "--model", model, "-o", out, "--csv", csv)
    assert done.code == 0, done.err
    assert "Annotated 120 cells" in done.out
    assert f"Written: {out}, {csv}" in done.out
    assert done.err == ""
    cells, source = ad.read_h5ad(out), ad.read_h5ad(inputs / "query.h5ad")
    assert (cells.X != source.X).nnz == 0
    assert cells.obsm[keys.PROBABILITIES].shape == (120, 4)
    np.testing.assert_allclose(cells.obsm[keys.PROBABILITIES].sum(1), 1, rtol=1e-5)
    table = pd.read_csv(csv, keep_default_na=False)
    columns = [
        "barcode",
        "label",
        "confidence",
        "novelty",
        "is_novel",
        "reason",
        "label_safe",
        "doublet_score",
    ]
    assert table.columns.tolist() == columns
    assert table["barcode"].tolist() == source.obs_names.tolist()
    assert table["label"].tolist() == cells.obs[keys.LABEL].astype(str).tolist()
    np.testing.assert_allclose(table["confidence"], cells.obs[keys.CONFIDENCE], atol=1e-6)


def test_annotate_several_queries(run, inputs, model, outputs):
    out = outputs / "out.h5ad"
    paths = [inputs / "reference.h5ad", inputs / "query.h5ad"]
    assert run("annotate", *paths, "--model", model, "-o", out).code == 0
    cells = ad.read_h5ad(out)
    assert cells.n_obs == 360
    assert cells.obs["sample"].value_counts().to_dict() == {"reference": 240, "query": 120}
    assert cells.obs_names.str.contains(":").all()


def test_fragments_get_the_labels_that_their_peaks_get(run, inputs, model, outputs, query):
    """One fragment a count in the middle of a peak makes two insertions in it: the same islands are open."""
    query.X.data[:] = 2
    query.write_h5ad(outputs.parent / "double.h5ad")
    query.X.data[:] = 1
    fragments = written_fragments(outputs.parent / "fragments.tsv.gz", query)
    found = []
    for path in (outputs.parent / "double.h5ad", fragments):
        out = outputs / f"{path.name}.h5ad"
        done = run("annotate", path, "--model", model, "-o", out, "--genome", "hg38")
        assert done.code == 0, done.err
        found.append(ad.read_h5ad(out))
    peaks, counted = found
    assert counted.n_vars == len(artifact.load(model).universe)
    assert keys.ISLANDS in counted.uns
    counted = counted[peaks.obs_names]
    np.testing.assert_allclose(
        counted.obsm[keys.PROBABILITIES], peaks.obsm[keys.PROBABILITIES], rtol=1e-4, atol=1e-5
    )
    assert (counted.obs[keys.LABEL] == peaks.obs[keys.LABEL]).all()


def test_evaluate(run, annotated, outputs):
    files = ["--json", outputs / "scores.json", "--plot", outputs / "confusion.png"]
    done = run("evaluate", annotated, "--truth", "cell_type", "--by", "donor", *files)
    assert done.code == 0, done.err
    for words in ("accuracy", "macro-F1", "By cell type", "By donor", "donor3"):
        assert words in done.out
    assert json.loads((outputs / "scores.json").read_text())["summary"]["n_cells"] == 120
    assert (outputs / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_plots(run, annotated, model, outputs):
    cells = ad.read_h5ad(annotated)
    cells.obsm["X_umap"] = np.random.default_rng(0).normal(size=(cells.n_obs, 2)).astype(np.float32)
    source = outputs.parent / "laid_out.h5ad"
    cells.write_h5ad(source)
    for kind in ("umap", "confusion", "sankey"):
        done = run("plot", kind, source, "--truth", "cell_type", "-o", outputs / f"{kind}.png")
        assert done.code == 0, done.err
    assert run("plot", "umap", source, "--color", "donor", "-o", outputs / "donor.svg").code == 0
    assert run("plot", "training", model, "-o", outputs / "training.png").code == 0
    assert len(list(outputs.iterdir())) == 5
    unknown = run("plot", "umap", source, "--color", "doner", "-o", outputs / "x.png")
    assert unknown.code == 2
    assert "Did you mean 'donor'?" in unknown.err


def test_embed(run, annotated, outputs, monkeypatch):
    def laid_out(cells, **options):  # the UMAP itself is tested beside it, and takes long to compile
        cells.obsm["X_umap"] = np.zeros((cells.n_obs, 2), dtype=np.float32)

    monkeypatch.setattr("annatac.tl.embed", laid_out, raising=False)
    out = outputs / "laid_out.h5ad"
    done = run("embed", annotated, "-o", out)
    assert done.code == 0, done.err
    cells, source = ad.read_h5ad(out), ad.read_h5ad(annotated)
    assert cells.obsm["X_umap"].shape == (120, 2)
    assert (cells.X != source.X).nnz == 0
    assert cells.obs.equals(source.obs)
    assert "Added obsm['X_umap'] to the cells." in done.out
    clustered = run("embed", annotated, "-o", out, "--leiden", 1)
    assert "Added obsm['X_umap'] and obs['leiden'] to the cells." in clustered.out


def test_few_and_many_labels_are_counted():
    assert counted({f"T{i}": 1 for i in range(13)}).splitlines()[-1].endswith(" T12")
    lines = counted({f"T{i}": 2 for i in range(14)}).splitlines()
    assert len(lines) == 13
    assert lines[-1].split() == ["4", "14.3%", "in", "2", "more", "types"]


def test_datasets(run, monkeypatch, tmp_path):
    monkeypatch.setenv("ANNATAC_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "folders", lambda: [tmp_path])
    file = tmp_path / "schep2017_lines_hg19.h5ad"
    file.write_bytes(b"")
    listed = run("datasets", "list")
    assert listed.code == 0
    assert "granja2019_bmmc_d6t1" in listed.out
    assert run("datasets", "path", "schep2017_lines").out.strip() == str(file)
    unknown = run("datasets", "path", "schep2017")
    assert unknown.code == 2
    assert "Did you mean 'schep2017_lines'?" in unknown.err


@pytest.mark.parametrize("real", [False, True])
def test_demo(run, reference, outputs, monkeypatch, real):
    monkeypatch.setattr("annatac.demo.N_CELLS", 300)
    monkeypatch.setattr("annatac.demo.N_ISLANDS", 800)
    monkeypatch.setattr("annatac.demo.OPEN_ISLANDS", 100)

    def laid_out(cells, **options):
        cells.obsm["X_umap"] = cells.obsm[keys.EMBEDDING][:, :2].astype(np.float32)

    monkeypatch.setattr("annatac.demo.embed", laid_out)
    options = []
    if real:
        reference.obs["cell_type"] = reference.obs["cell_type"].cat.add_categories("rare")
        reference.write_h5ad(outputs.parent / "data.h5ad")
        options = [
            "--data",
            outputs.parent / "data.h5ad",
            "--label-key",
            "cell_type",
            "--novel-type",
            "type 2",
        ]
    done = run("demo", "-o", outputs / "demo", "--recipe", "debug", *options)
    assert done.code == 0, done.err
    assert ("simulated" in done.out) is not real
    made = {path.name for path in (outputs / "demo").iterdir()}
    pictures = {"umap.png", "confusion.png", "sankey.png", "training.png"}
    assert made == pictures | {"model", "annotated.h5ad", "annotations.csv", "metrics.json"}
    assert [path.name for path in outputs.iterdir()] == ["demo"]
    novel = "type 2" if real else "Erythroid"
    cells = ad.read_h5ad(outputs / "demo" / "annotated.h5ad")
    assert novel in set(cells.obs["cell_type"])
    assert novel not in set(cells.uns[keys.UNS]["classes"])
    assert run("demo", "-o", outputs / "demo").code == 2


def test_precision(run, inputs, model, outputs, monkeypatch):
    monkeypatch.setattr("annatac.train.device.has_fast_bf16", lambda device: True)
    labelled = {}
    for name in ("float32", "bf16"):
        out = outputs / f"{name}.h5ad"
        done = run("annotate", inputs / "query.h5ad", "--model", model, "-o", out, "--precision", name)
        assert done.code == 0, done.err
        labelled[name] = ad.read_h5ad(out).obsm["annatac_probabilities"]
    assert 0 < abs(labelled["float32"] - labelled["bf16"]).max() < 0.05
    monkeypatch.setattr("annatac.train.device.has_fast_bf16", lambda device: False)
    command = ["pretrain", inputs / "query.h5ad", "-o", outputs / "base", "--recipe", "debug"]
    done = run(*command, "--precision", "bf16", "--device", "cpu")
    assert done.code == 2
    assert "does not multiply in bfloat16" in done.err
    assert not list(outputs.glob("base*"))
