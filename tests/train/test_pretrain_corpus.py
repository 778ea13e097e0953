"""Pre-training from a corpus on disk: as from the matrix, in blocks, in several processes, resumed, and refused."""

from __future__ import annotations

import importlib.util
import os
import signal
import weakref
from pathlib import Path

import numpy as np
import pytest

import annatac
from annatac import jobs
from annatac.corpus import Corpus, CsrCells, open_for_writing
from annatac.corpus.selection import OpenIslands, as_matrix, openness_sums
from annatac.errors import ConfigError, DamagedFileError, InputError, Interrupted, ModelError
from annatac.model import artifact
from annatac.pp import peak_islands
from annatac.pp.tokens import tokenize
from annatac.pp.universe import Universe
from annatac.train.pretraining import PretrainTask
from annatac.train.runlog import read_run_log
from annatac.train.unlabelled import split

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).with_name("processes.py"))
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture
def corpus(reference, tmp_path) -> Path:
    """The reference's cells in two samples and four shards; one cell and some islands have nothing open."""
    dense = reference.X.toarray()
    dense[7] = 0
    dense[:, 30:50] = 0
    reference.X = type(reference.X)(dense)
    islands = peak_islands(reference)
    universe = Universe.from_islands(islands)
    tokens, _ = tokenize(islands, universe)
    folder = tmp_path / "corpus"
    with open_for_writing(
        folder, universe, island_settings={"bin_size": 5000, "assign": "midpoint"}
    ) as writer:
        writer.append("a", tokens[:70], shard_tokens=2000)
        writer.append("b", tokens[70:], shard_tokens=2000)
    return folder


@pytest.fixture
def in_blocks(monkeypatch):
    """So few open islands are kept that the corpus is read in blocks."""
    monkeypatch.setattr("annatac.corpus.store.POOL_TOKENS", 600)
    monkeypatch.setattr("annatac.corpus.store.BLOCK", 8)


@pytest.fixture
def recipe(debug):
    """Three epochs, every random stream in use."""
    return debug(epochs=3, batch_size=8, accumulate=2, patience=9, validation_fraction=0.2)


def figures(model: Path) -> list[tuple[float, ...]]:
    events = [event for event in read_run_log(model / "run.jsonl") if event["event"] == "epoch"]
    return [(event["train_loss"], event["valid_loss"]) for event in events]


# -------------------------------------------------------------------------------------------- cells


def test_islands_that_are_open_nowhere_are_left_out(corpus):
    cells = Corpus.open(corpus)
    dense = as_matrix(cells, np.arange(120)).toarray()
    sums = openness_sums(cells)
    assert np.array_equal(sums, dense.sum(0))
    assert (sums == 0).sum() > 10
    fewer = OpenIslands(cells, sums > 0)
    assert np.array_equal(as_matrix(fewer, np.arange(120)).toarray(), dense[:, sums > 0])
    assert fewer.checksum != cells.checksum
    assert fewer.checksum == OpenIslands(Corpus.open(corpus), sums > 0).checksum


def test_sums_are_read_in_parts(corpus, monkeypatch):
    cells = Corpus.open(corpus)
    whole = openness_sums(cells)
    for most in (1, 700):
        monkeypatch.setattr("annatac.corpus.selection._AT_ONCE", most)
        assert np.array_equal(openness_sums(cells), whole)


def test_scattered_cells_do_not_keep_their_blocks(corpus, in_blocks, monkeypatch):
    """One cell of each of fifteen blocks is read: the others' cells do not stay in memory until all are."""
    read, alive = Corpus._read_block, []

    def reading(self, number):
        block = read(self, number)
        alive.append(weakref.ref(block[0]))
        assert sum(ref() is not None for ref in alive) <= 8  # those kept are a few: 600 open islands
        return block

    monkeypatch.setattr(Corpus, "_read_block", reading)
    rows = np.arange(0, 120, 8)
    islands, _, lengths = Corpus.open(corpus).flat(rows)
    assert len(alive) == 15
    assert len(islands) == lengths.sum()


def test_whole_blocks_are_held_out(corpus, in_blocks):
    training, held_out = split(Corpus.open(corpus), 0.2, seed=0)
    assert np.array_equal(np.sort(np.concatenate([training, held_out])), np.arange(120))
    assert np.array_equal(np.bincount(held_out // 8, minlength=15) % 8, np.zeros(15))
    assert len(held_out) == 24
    assert not np.array_equal(held_out, split(Corpus.open(corpus), 0.2, seed=1)[1])
    assert len(split(CsrCells(as_matrix(Corpus.open(corpus), np.arange(120))), 0.1, seed=0)[1]) == 12


# ----------------------------------------------------------------------------------------- training


def test_a_corpus_is_the_matrix_to_the_bit(reference, corpus, recipe, tmp_path):
    annatac.pretrain(Corpus.open(corpus), output=tmp_path / "streamed", recipe=recipe)
    annatac.pretrain(reference, output=tmp_path / "whole", recipe=recipe)
    for name in ("model.safetensors", "metrics.json", "islands.tsv.gz", "README.md"):
        assert (tmp_path / "streamed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    made = [artifact.load(tmp_path / name).island_settings for name in ("streamed", "whole")]
    assert made[0].items() <= made[1].items()


def test_a_corpus_in_blocks_is_streamed_and_resumed(corpus, recipe, tmp_path, in_blocks, monkeypatch):
    """Interrupted in its second epoch it ends the same; and no more than a pool is held."""
    annatac.pretrain(Corpus.open(corpus), output=tmp_path / "whole", recipe=recipe)
    original, calls = PretrainTask.loss, []

    def loss(self, asked):
        calls.append(asked)
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, asked)

    monkeypatch.setattr(PretrainTask, "loss", loss)
    with pytest.raises(Interrupted):
        annatac.pretrain(Corpus.open(corpus), output=tmp_path / "parts", recipe=recipe)
    streamed = Corpus.open(corpus)
    assert streamed.block == 8
    annatac.pretrain(streamed, output=tmp_path / "parts", recipe=recipe, resume=True)
    assert streamed._n_held <= 600
    assert figures(tmp_path / "parts") == figures(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("parts", "whole")]
    assert weights[0] == weights[1]


def test_two_processes_and_one_that_is_killed(corpus, tmp_path):
    """Losses of one process; a killed run leaves a checkpoint from which one process goes on."""
    ends = processes.start("pretrain_corpus", tmp_path, 2)
    assert [code for code, _ in ends] == [1, -signal.SIGKILL]
    assert "ProcessLost" in ends[0][1]
    assert "--resume" in ends[0][1]
    together = figures(tmp_path / "streamed")
    processes.pretrain_from(tmp_path, "streamed")
    np.testing.assert_allclose(together, figures(tmp_path / "streamed"), rtol=0, atol=1e-5)
    processes.pretrain_from(tmp_path, "killed", resume=True)
    np.testing.assert_allclose(together, figures(tmp_path / "killed"), rtol=0, atol=1e-5)


def test_several_corpora_are_one(corpus, recipe, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    whole = Corpus.open(corpus)
    for folder, rows in ((first, np.arange(70)), (second, np.arange(70, 120))):
        with open_for_writing(
            folder, whole.universe, island_settings=whole.manifest.island_settings
        ) as writer:
            writer.append(folder.name, as_matrix(whole, rows), shard_tokens=2000)
    one = jobs.pretrain([corpus], tmp_path / "one", recipe="debug")
    two = jobs.pretrain([first, second], tmp_path / "two", recipe="debug")
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    Corpus.open(first, second).verify()
    with pytest.raises(InputError, match=rf"'first' of .* are in {first} too. Name each corpus once"):
        Corpus.open(first, second, first)
    with open_for_writing(tmp_path / "other", whole.universe.take(np.arange(100))) as writer:
        writer.append("other", as_matrix(whole, np.arange(70))[:, :100])
    with pytest.raises(InputError, match=r"and .*other \(100 on .*\) are over other universes"):
        Corpus.open(first, tmp_path / "other")
    with open_for_writing(tmp_path / "sum", whole.universe, island_settings={"openness": "sum"}) as writer:
        writer.append("other", as_matrix(whole, np.arange(9)))
    with pytest.raises(InputError, match="were made in different ways"):
        Corpus.open(first, tmp_path / "sum")


# ---------------------------------------------------------------------------------- what is refused


def test_a_damaged_shard_is_found_before_training(corpus, recipe, tmp_path):
    path = corpus / Corpus.open(corpus).manifest.samples[1].shards[0].file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match=rf"{path.name} is damaged: its content does not fit"):
        annatac.pretrain(Corpus.open(corpus), output=tmp_path / "model", recipe=recipe)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "model.run").exists()


def test_a_corpus_that_has_grown_is_not_resumed(corpus, recipe, tmp_path, monkeypatch):
    original, calls = PretrainTask.loss, []

    def loss(self, asked):
        calls.append(asked)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, asked)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainTask, "loss", loss)
        with pytest.raises(Interrupted):
            annatac.pretrain(Corpus.open(corpus), output=tmp_path / "model", recipe=recipe)
    more = as_matrix(Corpus.open(corpus), np.arange(5))
    with open_for_writing(corpus) as writer:
        writer.append("more", more)
    with pytest.raises(ModelError, match="other cells, labels, recipe or seed"):
        annatac.pretrain(Corpus.open(corpus), output=tmp_path / "model", recipe=recipe, resume=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"genes": "genes.bed"}, ConfigError, "--gtf is an option of `annatac prepare`"),
        ({"min_fragments": 5}, ConfigError, "--min-fragments is an option of `annatac prepare`"),
        ({"bin_size": 1000}, ConfigError, "has islands of 5,000 bp, 1,000 are asked for"),
        ({"recipe": "paper"}, InputError, "The recipe wants islands 'tss', the corpus .* has 'all'"),
    ],
)
def test_options_that_do_not_fit(corpus, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        jobs.pretrain([corpus], tmp_path / "model", **{"recipe": "debug", **options})
    assert not (tmp_path / "model").exists()


def test_a_corpus_and_a_matrix(corpus, reference, tmp_path):
    reference.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ConfigError, match=r"corpus is a corpus, .*cells.h5ad is none"):
        jobs.pretrain([corpus, tmp_path / "cells.h5ad"], tmp_path / "model")


def test_a_corpus_without_an_open_island(corpus, recipe, tmp_path):
    whole = Corpus.open(corpus)
    with open_for_writing(tmp_path / "void", whole.universe) as writer:
        writer.append("void", as_matrix(whole, np.array([7, 7])))
    with pytest.raises(InputError, match="holds no open island"):
        annatac.pretrain(Corpus.open(tmp_path / "void"), output=tmp_path / "model", recipe=recipe)
