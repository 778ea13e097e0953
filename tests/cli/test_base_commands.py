"""From unlabelled cells of one's own to a base, a model started from it, and what the base gave; what is refused."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

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


# ---------------------------------------------------------------------------------- what is refused


@pytest.fixture
def refused(run, outputs):
    """``refused(words, "finetune", ...)``: exit code 2, the words, and nothing written."""

    def call(words, *arguments):
        done = run(*arguments, "-o", outputs / "x")
        assert done.code == 2, done.err
        assert "Traceback" not in done.err
        assert words in " ".join(done.err.split())
        assert list(outputs.iterdir()) == []

    return call


def test_a_base_that_knows_too_few_islands(refused, reference, base, tmp_path):
    """As many of the reference's peaks as lie in bins of other width; the figures are said."""
    labelled = ["--label-key", "cell_type", "--recipe", "debug", "--base", base]
    reference.write_h5ad(tmp_path / "r.h5ad")
    words = (
        "The median cell has 0 open islands that the base model knows; at least 5 are needed. The base has"
    )
    refused(words, "finetune", tmp_path / "r.h5ad", *labelled, "--bin-size", 2500)
    refused("pass `--bin-size 5000`", "finetune", tmp_path / "r.h5ad", *labelled, "--bin-size", 2500)
    few = reference[:, reference.var["start"] > 10_000_000].copy()
    few.var_names = [f"{c}:{s - 9_990_000}-{e - 9_990_000}" for c, s, e in few.var.itertuples(index=False)]
    few.var = few.var[[]]
    few.write_h5ad(tmp_path / "few.h5ad")
    refused("are in both; they look like", "finetune", tmp_path / "few.h5ad", *labelled)


def test_a_recipe_that_does_not_fit_the_base(refused, inputs, base, model, tmp_path):
    (tmp_path / "wide.yaml").write_text("model: {width: 64, feed_forward: 128}\n")
    (tmp_path / "tss.yaml").write_text("islands: tss\n")
    labelled = ["finetune", inputs / "reference.h5ad", "--label-key", "cell_type"]
    words = "does not fit the base model, whose encoder is taken over: it wants width 64 (the base: 8)"
    refused(words, *labelled, "--base", base, "--recipe", tmp_path / "wide.yaml")
    refused("takes islands 'tss'", *labelled, "--base", base, "--recipe", tmp_path / "tss.yaml")
    refused("it is a fine-tuned model", *labelled, "--base", model)
    refused("name one with --base", *labelled, "--chain", tmp_path / "any.chain")


def test_a_base_that_does_not_exist(refused, inputs):
    labelled = ["finetune", inputs / "reference.h5ad", "--label-key", "cell_type"]
    refused("no ready model has that name. Did you mean 'human-base'?", *labelled, "--base", "human-bse")
    refused("`annatac models fetch lab/atlas -o FOLDER` first", *labelled, "--base", "lab/atlas")


class Cut(SimpleHTTPRequestHandler):
    """Hangs up in the middle of the weights; knows nothing of other places."""

    def log_message(self, *arguments):
        pass

    def copyfile(self, source, outputfile):
        content = source.read()
        half = len(content) // 2 if self.path.endswith(".safetensors") else len(content)
        outputfile.write(content[:half])
        outputfile.flush()
        self.close_connection = True


@pytest.fixture
def hub(base, monkeypatch):
    handler = partial(Cut, directory=str(base.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_download_that_breaks_off_and_a_name_that_is_none(refused, hub):
    refused("model.safetensors", "models", "fetch", f"{hub}/base")
    refused("Nothing was written", "models", "fetch", f"{hub}/base")
    refused("answers 404", "models", "fetch", "lab/nothing")
    refused("there is no such model, or it is not public", "models", "fetch", f"{hub}/nothing")


def test_profiles_that_name_no_types_or_one_twice_or_lie_elsewhere(refused, inputs, query, tmp_path):
    def written(names, genome="hg38"):
        profiles = query[: len(names)].copy()
        profiles.obs_names = names
        profiles.uns["genome"] = genome
        profiles = profiles[:, profiles.var["start"] < 40_000_000]  # inside the chromosomes of both
        profiles.write_h5ad(tmp_path / "profiles.h5ad")
        return tmp_path / "profiles.h5ad"

    plain = ["pretrain", inputs / "query.h5ad", "--recipe", "debug", "--profiles"]
    refused("'B' is there twice", *plain, written(["B", "T", "B"]))
    refused("or one without a name", *plain, written(["B", ""]))
    refused("The profiles are on hg19, the cells on hg38", *plain, written(["B", "T"], genome="hg19"))
