"""What goes wrong with corpora and long runs: one message, finished work kept, the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from annatac.corpus import Corpus, open_for_writing
from annatac.corpus import shards as shard_module
from annatac.jobs import corpora
from annatac.pp.universe import Universe
from annatac.train import checkpoint
from annatac.train.runlog import read_run_log


@pytest.fixture(scope="session")
def whole_corpus(inputs, model, tmp_path_factory) -> Path:
    """A corpus of the reference and the query."""
    folder = tmp_path_factory.mktemp("whole") / "corpus"
    corpora.prepare_corpus(
        [inputs / "query.h5ad", inputs / "reference.h5ad"], folder, universe=model, workers=1
    )
    return folder


@pytest.fixture
def corpus(whole_corpus, tmp_path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(whole_corpus, tmp_path / "corpus"))


def _shard(corpus: Path) -> Path:
    return corpus / Corpus.open(corpus).manifest.samples[1].shards[0].file


def _flip(corpus: Path) -> None:
    path = _shard(corpus)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _cut(corpus: Path) -> None:
    path = _shard(corpus)
    path.write_bytes(path.read_bytes()[:-9])


def _another_version(corpus: Path) -> None:
    path = corpus / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))


def _another_universe(corpus: Path) -> None:
    Corpus.open(corpus).universe.take(np.arange(50)).save(corpus / "islands.tsv.gz")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_flip, "is damaged: its content does not fit its checksum"),
        (_cut, "it is truncated or altered. Copy the corpus again"),
        (lambda corpus: _shard(corpus).unlink(), "is missing"),
        (_another_version, "format version 7"),
        (_another_universe, "holds another universe"),
    ],
    ids=["damaged", "cut", "missing", "version", "universe"],
)
def test_a_spoilt_corpus_is_no_ground_to_train_on(run, corpus, outputs, spoil, message):
    spoil(corpus)
    for command in (
        ["pretrain", corpus, "-o", outputs / "base", "--recipe", "debug"],
        ["corpus", "verify", corpus],
    ):
        done = run(*command)
        assert done.code == 2, done.err
        assert message in done.err
        assert done.err.count("error: ") == 1
    assert list(outputs.iterdir()) == []


def test_a_corpus_of_another_universe_is_not_extended(run, corpus, inputs, outputs):
    before = Corpus.open(corpus).checksum
    Corpus.open(corpus).universe.take(np.arange(50)).save(outputs / "few.tsv.gz")
    done = run("prepare", f"new={inputs / 'query.h5ad'}", "-o", corpus, "--universe", outputs / "few.tsv.gz")
    assert done.code == 2
    assert "is over other islands than those of" in done.err
    assert Corpus.open(corpus).checksum == before


def test_a_corpus_that_is_being_written(run, corpus, inputs, outputs):
    with open_for_writing(corpus):
        done = run("prepare", f"new={inputs / 'query.h5ad'}", "-o", corpus)
        assert done.code == 2
        assert f"Another process writes into {corpus}: process {os.getpid()} of" in done.err
        done = run("pretrain", corpus, "-o", outputs / "base", "--recipe", "debug", "--epochs", 1)
        assert done.code == 0, "readers go on with what it held when they came"


def test_a_full_disk_at_a_shard(run, inputs, model, outputs, full_disk):
    command = ["prepare", inputs / "query.h5ad", inputs / "reference.h5ad", "-o", outputs / "corpus"]
    command += ["--universe", model, "--workers", 1]
    with full_disk(shard_module):
        done = run(*command)
    assert done.code == 2
    assert "the disk is full" in done.err
    assert "1 of 2 samples are in" in done.err
    done = run(*command)
    assert done.code == 0, done.err
    assert "1 samples added, 1 were there: 2 in all" in done.out
    Corpus.open(outputs / "corpus").verify()


def test_a_full_disk_at_a_later_checkpoint(run, corpus, outputs, full_disk):
    """The one before stays, and the run ends as one that was never stopped."""
    command = ["pretrain", corpus, "--recipe", "debug", "--epochs", 3]
    assert run(*command, "-o", outputs / "whole").code == 0
    with full_disk(checkpoint):
        done = run(*command, "-o", outputs / "base")
    assert done.code == 2
    assert "the disk is full" in done.err
    assert not (outputs / "base").exists()
    assert (outputs / "base.run" / checkpoint.FILE).is_file()
    done = run(*command, "-o", outputs / "base", "--resume")
    assert done.code == 0, done.err
    losses = [
        [e["train_loss"] for e in read_run_log(outputs / name / "run.jsonl") if e["event"] == "epoch"]
        for name in ("whole", "base")
    ]
    assert losses[0] == losses[1]


# ------------------------------------------------------------------------------------------- Dask


def _killing(name: str):
    """Return ``take_in`` of workers that are killed with half of a sample of that name on disk, each time."""
    from annatac.corpus.writer import new_place
    from annatac.jobs.intake import take_in

    def take(intake):
        if intake.name == name:
            (new_place(intake.corpus) / "0000.safetensors").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return take_in(intake)

    return take


@pytest.mark.slow
def test_workers_that_are_killed_during_prepare(run, inputs, model, outputs, monkeypatch):
    """Their sample is named, the others are kept, and the same command then adds what is missing."""
    pytest.importorskip("distributed")
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    command = ["prepare", inputs / "query.h5ad", inputs / "reference.h5ad", "-o", outputs / "corpus"]
    command += ["--universe", model]
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "take_in", _killing("query"))
        done = run(*command, "--workers", 2)
    assert done.code == 2, done.err
    assert "1 of 2 samples could not be added" in done.err
    assert "query: The process that did it was killed each time" in done.err
    corpus = Corpus.open(outputs / "corpus")
    corpus.verify()
    assert [sample.name for sample in corpus.manifest.samples] == ["reference"]
    assert len(list((outputs / "corpus" / "shards").iterdir())) == 1, "half samples are gone"
    done = run(*command, "--workers", 1)
    assert done.code == 0, done.err
    assert [s.name for s in Corpus.open(outputs / "corpus").manifest.samples] == ["query", "reference"]


@pytest.mark.slow
def test_a_scheduler_that_runs_already(run, inputs, whole_corpus, model, outputs):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        command = ["prepare", inputs / "query.h5ad", inputs / "reference.h5ad", "-o", outputs / "corpus"]
        done = run(*command, "--universe", model, "--scheduler", address)
        assert done.code == 0, done.err
        assert len(cluster.scheduler.workers) == 1, "it is left as it was"
    assert Corpus.open(outputs / "corpus").checksum == Corpus.open(whole_corpus).checksum
    assert Universe.load(outputs / "corpus" / "islands.tsv.gz").genome == "hg38"
