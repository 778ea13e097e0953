"""What users can do wrong, end to end: one clear error, exit code 2, nothing written.

Each test names what the message must say. ``refused`` checks the rest: one ``error:`` line, no traceback,
an output folder as empty as it was.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import resource
import shutil
import subprocess

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

FRAGMENTS = "chr1\t100\t160\tAAAC-1\t1\nchr1\t300\t360\tAAAC-1\t1\nchr1\t500\t560\tAAAG-1\t1\n"


@pytest.fixture
def refused(run, outputs):
    """``refused(words, command, ...)``: the command fails with these words (a regular expression)."""

    def check(words, *arguments, output="out.h5ad"):
        command, *rest = arguments
        done = run(command, *rest, "-o", outputs / output) if output else run(command, *rest)
        assert done.code == 2, (done.code, done.out, done.err)
        assert "Traceback" not in done.err
        errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, done.err
        message = done.err[done.err.index("error: ") :]
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(message)
        assert list(outputs.iterdir()) == []
        assert done.out == ""
        return done

    return check


# --- files ---------------------------------------------------------------------------------------------------


def test_missing_file(refused, inputs, model):
    refused("nowhere.h5ad does not exist", "prepare", inputs / "nowhere.h5ad")
    refused("nowhere.h5ad does not exist", "annotate", inputs / "nowhere.h5ad", "--model", model)
    refused("nowhere.csv", "prepare", inputs / "query.h5ad", "--labels", inputs / "nowhere.csv")
    refused("nowhere.gtf", "prepare", inputs / "query.h5ad", "--gtf", inputs / "nowhere.gtf")


def test_truncated_hdf5(refused, inputs, tmp_path, model):
    whole = (inputs / "query.h5ad").read_bytes()
    path = tmp_path / "cut.h5ad"
    path.write_bytes(whole[: len(whole) // 2])
    refused("cut.h5ad is damaged", "prepare", path)
    refused("cut.h5ad is damaged", "annotate", path, "--model", model)


def test_truncated_gzip(refused, tmp_path):
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 10**8, 5000))
    text = "".join(f"chr1\t{start}\t{start + 60}\tC{start % 9}\t1\n" for start in starts)
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    refused("fragments.tsv.gz is (damaged|truncated|cut)", "prepare", path, "--genome", "hg38")


def test_unknown_kind_of_file(refused, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("cells, many\n")
    refused("of an unknown kind.*\n*Accepted are", "prepare", path)


# --- counts --------------------------------------------------------------------------------------------------


def test_rna_given_as_atac(refused, tmp_path):
    path = tmp_path / "filtered_feature_bc_matrix.h5"
    x = sp.csr_matrix(np.ones((4, 3), dtype=np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array([f"C{i}-1" for i in range(4)], dtype="S")
        group["data"], group["indices"], group["indptr"] = x.data, x.indices, x.indptr
        group["shape"] = np.array([3, 4], dtype=np.int32)
        features = group.create_group("features")
        for name in ("id", "name"):
            features[name] = np.array(["CD3E", "MS4A1", "LYZ"], dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 3, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 3, dtype="S")
    refused("Gene Expression", "prepare", path)


def test_empty_matrix(refused, query, tmp_path):
    query[:0].copy().write_h5ad(tmp_path / "empty.h5ad")
    refused("empty|no cells|0 cells", "prepare", tmp_path / "empty.h5ad")
    query.X = sp.csr_matrix(query.shape, dtype=np.int32)
    query.write_h5ad(tmp_path / "zero.h5ad")
    refused("0", "prepare", tmp_path / "zero.h5ad")


def spoilt(kind, x):
    """Return counts with one thing wrong."""
    x = sp.csr_matrix(x, dtype=np.float32)
    if kind == "NaN":
        x.data[3] = np.nan
    elif kind == "negative":
        x.data[3] = -1
    elif kind == "fractions":
        x.data[3] = 0.25
    else:
        x = sp.csr_matrix(sp.diags(1e4 / np.asarray(x.sum(1)).ravel()) @ x).log1p()
    return x


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("NaN", "1 NaN or infinite values; counts are expected"),
        ("negative", "1 negative values"),
        ("fractions", "fractions .for example 0.25."),
        ("logged", "looks log-normalised"),
    ],
)
@pytest.mark.parametrize("command", ["prepare", "finetune", "annotate"])
def test_no_counts(refused, query, tmp_path, model, kind, words, command):
    query.X = spoilt(kind, query.X)
    query.write_h5ad(tmp_path / "spoilt.h5ad")
    options = {"annotate": ["--model", model], "finetune": ["--label-key", "cell_type"], "prepare": []}
    refused(words, command, tmp_path / "spoilt.h5ad", *options[command])


def test_duplicated_barcodes(refused, query, tmp_path, model):
    names = query.obs_names.to_numpy().copy()
    names[1] = names[0]
    query.obs_names = names
    query.write_h5ad(tmp_path / "twice.h5ad")
    words = f"1 barcodes are there more than once, for example '{names[0]}'"
    refused(words, "prepare", tmp_path / "twice.h5ad")
    refused(words, "annotate", tmp_path / "twice.h5ad", "--model", model)


# --- fragments, genes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FRAGMENTS + "chr1\t200\t260\tAAAC-1\t1\n", "line 4.*sorted"),
        (FRAGMENTS + "chr1\tx\t660\tAAAC-1\t1\n", "line 4: not a fragment"),
        (FRAGMENTS + "chr1\t700\t690\tAAAC-1\t1\n", "line 4: the end 690 is not behind the start 700"),
    ],
)
def test_fragments_name_file_and_line(refused, tmp_path, text, words):
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    refused(f"fragments.tsv.gz.*{words}", "prepare", path, "--genome", "hg38")


def test_genes_file_without_genes(refused, inputs, tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text("##description: nothing\n")
    options = ["--islands", "tss", "--gtf", path]
    refused("genes.gtf.*(no gene|without|empty)", "prepare", inputs / "query.h5ad", *options)
    refused("needs genes", "prepare", inputs / "query.h5ad", "--islands", "tss")


# --- labels --------------------------------------------------------------------------------------------------


def test_label_column_missing(refused, inputs, annotated):
    path = inputs / "reference.h5ad"
    options = ["--recipe", "debug"]
    refused("Did you mean 'cell_type'", "finetune", path, "--label-key", "celltype", *options, output="model")
    refused("--label-key.*--labels", "finetune", path, *options, output="model")
    keys = ["--label-key", "cell_type", "--batch-key", "doner"]
    refused("Did you mean 'donor'", "finetune", path, *keys, *options, output="model")
    refused("Did you mean 'cell_type'", "evaluate", annotated, "--truth", "cell_typ", output="")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: ["T"] * len(labels), "All 240 labelled cells are 'T'.*two cell types"),
        (lambda labels: ["lone", *labels[1:]], "one cell only: 'lone'"),
        (lambda labels: [None] * len(labels), "None of the 240 cells has a label"),
        (lambda labels: ["Novel_cell_type", *["Novel_cell_type", *labels[2:]]], "Rename it"),
    ],
)
def test_unusable_labels(refused, reference, tmp_path, change, words):
    reference.obs["kind"] = pd.Series(
        change(reference.obs["cell_type"].astype(str).tolist()), index=reference.obs_names, dtype=object
    ).astype("category")
    reference.write_h5ad(tmp_path / "labels.h5ad")
    options = ["--label-key", "kind", "--recipe", "debug"]
    refused(words, "finetune", tmp_path / "labels.h5ad", *options, output="model")


def test_cells_without_a_label_are_left_out_and_counted(run, reference, tmp_path, outputs):
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(object)
    reference.obs.loc[reference.obs_names[:30], "cell_type"] = np.nan
    reference.write_h5ad(tmp_path / "gaps.h5ad")
    options = ["--label-key", "cell_type", "--recipe", "debug", "--epochs", 1, "-o", outputs / "model"]
    done = run("finetune", tmp_path / "gaps.h5ad", *options)
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        "warning: 30 of 240 cells have no label in obs['cell_type'] and are left out."
    ]
    assert "Trained on 210 cells" in done.out


def test_labels_of_other_cells(refused, inputs, tmp_path):
    path = tmp_path / "types.csv"
    path.write_text("barcode,cell_type\nXXX,T\nYYY,B\n")
    refused("None of the 2 barcodes of", "finetune", inputs / "reference.h5ad", "--labels", path)


# --- query and model -----------------------------------------------------------------------------------------


def test_query_without_a_common_island(refused, query, tmp_path, model):
    other = query[:, query.var["chrom"] == "chr1"].copy()
    other.var["start"] = np.arange(other.n_vars, dtype=np.int64) * 5000 + 200_000_000
    other.var["end"] = other.var["start"] + 500
    other.var["chrom"] = "chr2"
    other.var_names = [f"p{i}" for i in range(other.n_vars)]
    other.write_h5ad(tmp_path / "other.h5ad")
    words = "None of the query's .* peaks overlaps one of the model's"
    refused(words, "annotate", tmp_path / "other.h5ad", "--model", model)


def test_wrong_assembly(refused, query, inputs, tmp_path, model):
    path = inputs / "query.h5ad"
    refused("These look like|They fit", "prepare", path, "--genome", "mm10")
    refused("[Uu]nknown.*Did you mean 'hg38'", "prepare", path, "--genome", "hg83")
    query.uns["genome"] = "mm10"
    query = query[:, query.var["start"] < 50_000_000].copy()
    query.write_h5ad(tmp_path / "mouse.h5ad")
    refused("mm10", "annotate", tmp_path / "mouse.h5ad", "--model", model)


@pytest.fixture
def copied(model, tmp_path):
    """A copy of the model folder, to be spoilt."""
    return shutil.copytree(model, tmp_path / "copied")


def test_model_that_is_none(refused, inputs, tmp_path):
    query = inputs / "query.h5ad"
    refused("No model at .*does not exist", "annotate", query, "--model", tmp_path / "nowhere")
    refused("No model at .*is a file", "annotate", query, "--model", query)
    refused("no model folder: it has no config.json", "annotate", query, "--model", tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "islands.tsv.gz", "labels.json", "calibration.json"])
def test_model_with_a_missing_file(refused, inputs, copied, name):
    (copied / name).unlink()
    refused(f"{name} is missing", "annotate", inputs / "query.h5ad", "--model", copied)


@pytest.mark.parametrize("name", ["model.safetensors", "islands.tsv.gz", "metrics.json"])
def test_model_with_an_altered_file(refused, inputs, copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(bytes(content))
    refused(f"{name} was altered or damaged", "annotate", inputs / "query.h5ad", "--model", copied)


def test_model_with_a_foreign_file(refused, inputs, copied):
    (copied / "labels.json").write_text(json.dumps({"types": [{"name": "T"}, {"name": "B"}]}))
    refused("labels.json was altered", "annotate", inputs / "query.h5ad", "--model", copied)
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"version": 99}))
    refused("format version 99", "annotate", inputs / "query.h5ad", "--model", copied)
    (copied / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refused("not that of an annatac model", "annotate", inputs / "query.h5ad", "--model", copied)


# --- recipes and options -------------------------------------------------------------------------------------


def test_unknown_recipe_and_key(refused, inputs, tmp_path):
    recipe = tmp_path / "own.yaml"
    recipe.write_text("model:\n  widht: 8\n")
    base = ["finetune", inputs / "reference.h5ad", "--label-key", "cell_type"]
    refused("unknown key 'widht'. Did you mean 'width'", *base, "--recipe", recipe, output="model")
    recipe.write_text("model:\n  width: wide\n")
    refused("a value of type int is expected", *base, "--recipe", recipe, output="model")
    refused("No recipe 'defualt'.*Did you mean 'default'", *base, "--recipe", "defualt", output="model")


def test_usage_errors(run, refused, inputs, model):
    for arguments in (["anotate"], ["prepare", inputs / "query.h5ad"], ["datasets", "path"]):
        done = run(*arguments)
        assert done.code == 2
        assert "Traceback" not in done.err
    query = ["annotate", inputs / "query.h5ad", "--model", model]
    refused("Novelty method 'magic' is unknown", *query, "--novelty-method", "magic")
    refused("No device 'tpu9'|not available", *query, "--device", "tpu9")
    refused("not annotated", "evaluate", inputs / "query.h5ad", "--truth", "cell_type", output="")


@pytest.mark.parametrize(
    ("name", "words"), [("out.foo", "the ending '.foo' is no kind"), ("out", "no ending")]
)
def test_pictures_of_no_known_kind(refused, annotated, outputs, tmp_path, name, words):
    truth = ["--truth", "cell_type"]
    refused(words, "plot", "confusion", annotated, *truth, output=name)
    scores = outputs / "scores.json"
    refused(words, "evaluate", annotated, *truth, "--json", scores, "--plot", outputs / name, output="")
    refused(words, "embed", annotated, "--plot", outputs / name)


# --- outputs -------------------------------------------------------------------------------------------------


def commands(inputs, model):
    """Return every command that writes, without its output."""
    learn = ["--recipe", "debug", "--epochs", 1]
    return [
        ["prepare", inputs / "query.h5ad"],
        ["annotate", inputs / "query.h5ad", "--model", model],
        ["finetune", inputs / "reference.h5ad", "--label-key", "cell_type", *learn],
        ["pretrain", inputs / "reference.h5ad", *learn],
    ]


def test_output_in_what_is_no_folder(refused, inputs, model, tmp_path):
    """Below a regular file nobody can write, whoever runs the test."""
    (tmp_path / "file").write_text("")
    for command in [*commands(inputs, model), ["demo"]]:
        refused("is not a folder", *command, "-o", tmp_path / "file" / "out", output="")
    refused("something else than a corpus", "prepare", inputs / "query.h5ad", "-o", tmp_path, output="")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_not_writable(refused, inputs, model, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for command in commands(inputs, model):
        refused("no permission to write", *command, "-o", locked / "out", output="")


@pytest.fixture
def small_files():
    """No file may grow past 4 kB: a full disk that needs no privilege."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_files_that_may_not_grow(refused, inputs, model, small_files):
    for command in commands(inputs, model):
        output = "out.h5ad" if command[0] in ("prepare", "annotate") else "model"
        refused("Cannot write .*(may not grow|File too large)", *command, output=output)


def test_disk_full(refused, inputs, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("annatac.io.write.writing_hdf5", full)
    refused("Cannot write .*the disk is full: free some space", "prepare", inputs / "query.h5ad")


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 48 kB, too small for a checkpoint; skipped where mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=False)


def test_a_really_full_disk(refused, inputs, model, tiny_disk):
    for command in commands(inputs, model):
        output = "out.h5ad" if command[0] == "prepare" else "out"
        refused("disk is full", *command, "-o", tiny_disk / output, output="")
        assert list(tiny_disk.iterdir()) == []
        if command[0] == "prepare":
            corpus = ["-o", tiny_disk / "out", "--genome", "hg38"]
            refused("disk is full", *command, *corpus, output="")
        assert list(tiny_disk.iterdir()) == []


def test_an_older_output_survives_a_failure(run, inputs, outputs, monkeypatch):
    out = outputs / "out.h5ad"
    out.write_text("older")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("annatac.io.write.writing_hdf5", full)
    assert run("prepare", inputs / "query.h5ad", "-o", out).code == 2
    assert out.read_text() == "older"
    assert list(outputs.iterdir()) == [out]
