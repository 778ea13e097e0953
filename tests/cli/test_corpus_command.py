"""``prepare`` into a corpus, ``corpus info`` and ``corpus verify``, ``pretrain`` from it: as a user types them."""

from __future__ import annotations

from annatac.corpus import Corpus


def test_from_samples_to_a_base_model(run, inputs, outputs, model):
    corpus = outputs / "corpus"
    samples = [inputs / "query.h5ad", f"donors={inputs / 'reference.h5ad'}"]
    done = run("prepare", *samples, "-o", corpus, "--universe", model, "--workers", 1)
    assert done.code == 0, done.err
    assert "donors: 240 cells, " in done.out
    assert "2 samples added, 0 were there: 2 in all, 360 cells over" in done.out
    done = run("prepare", inputs / "query.h5ad", inputs / "none.h5ad", "-o", corpus, "--workers", 1)
    assert done.code == 2
    assert done.out == "query: in the corpus already.\n"
    assert "1 of 2 samples could not be added to" in done.err
    assert "none.h5ad does not exist" in done.err

    done = run("corpus", "info", corpus)
    assert done.code == 0, done.err
    assert "360 cells" in done.out
    assert "donors" in done.out
    done = run("corpus", "verify", corpus)
    assert (done.code, done.out) == (0, f"{corpus} is whole: 2 shards of 2 samples, 360 cells.\n")

    done = run("pretrain", corpus, "-o", outputs / "base", "--recipe", "debug", "--epochs", 1)
    assert done.code == 0, done.err
    assert (outputs / "base" / "model.safetensors").is_file()

    shard = corpus / Corpus.open(corpus).manifest.samples[0].shards[0].file
    shard.write_bytes(shard.read_bytes()[:-1] + b"\7")
    done = run("corpus", "verify", corpus)
    assert done.code == 2
    assert "is damaged: its content does not fit its checksum" in done.err


def test_a_corpus_is_no_file_and_has_no_labels(run, inputs, outputs):
    done = run("prepare", inputs / "query.h5ad", "-o", outputs / "x.h5ad", "--workers", 2)
    assert done.code == 2
    assert "--workers is for a corpus" in done.err
    done = run("prepare", inputs / "query.h5ad", "-o", outputs / "corpus", "--labels", inputs / "query.h5ad")
    assert done.code == 2
    assert "A corpus holds no labels" in done.err
    done = run("corpus", "info", outputs)
    assert done.code == 2
    assert "is no corpus" in done.err
    assert list(outputs.iterdir()) == []


def test_shards_may_be_read_by_others(run, inputs, outputs, model):
    done = run("prepare", inputs / "query.h5ad", "-o", outputs / "corpus", "--universe", model)
    assert done.code == 0, done.err
    usual = outputs / "usual"
    usual.touch()
    modes = {path.stat().st_mode for path in (outputs / "corpus").rglob("*") if path.is_file()}
    assert modes == {usual.stat().st_mode}
