"""The corpus on disk: what is read equals what was written, and every way it can be spoilt is one clear error."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from annatac.corpus import Cells, Corpus, CsrCells, collate, is_corpus, open_for_writing, plan_batches
from annatac.corpus import shards as shard_module
from annatac.corpus.batches import POOL
from annatac.errors import DamagedFileError, InputError, MissingFileError, OutputError
from annatac.pp.universe import Universe

N_ISLANDS = 300


def universe_of(n: int = N_ISLANDS) -> Universe:
    start = np.arange(n, dtype=np.int64) * 5000
    return Universe(
        names=np.array([f"chr1:{s}-{s + 5000}" for s in start], dtype=object),
        chrom=np.full(n, "chr1", dtype=object),
        start=start,
        end=start + 5000,
        bin_size=5000,
        genome="hg38",
        n_peaks=np.ones(n, dtype=np.int32),
        mean_openness=np.full(n, 0.1, dtype=np.float32),
    )


def cells_of(n_cells: int, seed: int, share: float = 0.1) -> sp.csr_matrix:
    random = np.random.default_rng(seed)
    dense = random.integers(1, 6, (n_cells, N_ISLANDS)) * (random.random((n_cells, N_ISLANDS)) < share)
    dense[n_cells // 2] = 0  # a cell with no open island
    return sp.csr_matrix(dense.astype(np.uint8))


SAMPLES = {"a/b": cells_of(150, 0), "second": cells_of(77, 1), "one cell": cells_of(2, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three samples; the first in several shards."""
    path = tmp_path / "corpus"
    with open_for_writing(path, universe_of(), island_settings={"bin_size": 5000}) as writer:
        for name, tokens in SAMPLES.items():
            writer.append(name, tokens, shard_tokens=1500)
    return path


@pytest.fixture
def whole() -> sp.csr_matrix:
    return sp.csr_matrix(sp.vstack(list(SAMPLES.values()), format="csr"))


# ---------------------------------------------------------------------------------- what is read


def test_a_corpus_is_the_matrix_that_was_written(folder, whole):
    corpus, memory = Corpus.open(folder), CsrCells(whole)
    assert isinstance(corpus, Cells)
    assert isinstance(memory, Cells)
    assert (corpus.n_cells, corpus.n_islands) == whole.shape
    assert corpus.n_open.dtype == np.int32
    assert np.array_equal(corpus.n_open, memory.n_open)
    assert [len(s.shards) for s in corpus.manifest.samples] == [4, 2, 1]
    random = np.random.default_rng(0)
    rows = [random.integers(0, 229, 40), np.arange(229), np.array([75]), np.zeros(0, dtype=np.int64)]
    for chosen in rows:
        for got, wanted in zip(corpus.flat(chosen), memory.flat(chosen), strict=True):
            assert got.tolist() == wanted.tolist()
    ours, theirs = collate(corpus, rows[0]), collate(whole, rows[0])
    assert (ours.islands_BN == theirs.islands_BN).all()
    assert (ours.classes_BN == theirs.classes_BN).all()
    assert np.bincount(corpus.samples()).tolist() == [150, 77, 2]
    assert corpus.universe.names.tolist() == universe_of().names.tolist()
    corpus.verify()


def test_shards_take_five_bytes_an_open_island(folder, whole):
    corpus = Corpus.open(folder)
    n_bytes = sum(shard.bytes for sample in corpus.manifest.samples for shard in sample.shards)
    assert n_bytes < 5 * whole.nnz + 8 * (whole.shape[0] + 6) + 6 * 300


@pytest.mark.parametrize("n_cells", [1, 7, 500])
def test_shards_are_the_same_however_a_sample_comes(n_cells, tmp_path):
    tokens, shards = cells_of(120, 5), []
    parts = [tokens[at : at + n_cells] for at in range(0, 120, n_cells)]
    for name, given in (("whole", tokens), ("parts", iter(parts))):
        with open_for_writing(tmp_path / name, universe_of()) as writer:
            shards.append(writer.append("sample", given, shard_tokens=700).shards)
    assert len(shards[0]) > 3
    assert shards[0] == shards[1]


def test_few_blocks_are_kept(folder, whole, monkeypatch):
    monkeypatch.setattr("annatac.corpus.store.POOL_TOKENS", 4000)
    corpus = Corpus.open(folder)
    for row in range(229):
        corpus.flat(np.array([row]))
        assert corpus._n_held == sum(len(block[0]) for block in corpus._held.values()) <= 4000
    assert np.array_equal(corpus.flat(np.arange(229))[0], whole.indices)


def test_the_checksum_follows_the_cells(folder, tmp_path):
    first = Corpus.open(folder).checksum
    assert Corpus.open(folder).checksum == first
    with open_for_writing(folder) as writer:
        writer.append("more", cells_of(5, 9))
    assert Corpus.open(folder).checksum != first
    x = SAMPLES["second"]
    assert CsrCells(x).checksum == CsrCells(x.copy()).checksum != CsrCells(x[1:]).checksum


def _sum_of(path: str) -> int:
    return int(Corpus.open(path).flat(np.arange(229))[0].sum())


def test_many_processes_read(folder, whole):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_sum_of, [str(folder)] * 4) == [int(whole.indices.sum())] * 4


# ------------------------------------------------------------------------------------- streaming


def test_batches_in_blocks_are_uniform_enough():
    """Each cell once; neighbours apart; samples mixed almost as if single cells were drawn."""
    n = 5 * POOL
    sample = np.repeat([0, 1], [int(0.3 * n), n - int(0.3 * n)])
    n_open = np.random.default_rng(0).integers(500, 2500, n)
    batches = plan_batches(np.arange(n), n_open, batch_size=64, seed=0, epoch=0, block=64)
    order = np.concatenate(batches)
    assert np.array_equal(np.sort(order), np.arange(n))
    batch_of = np.empty(n, dtype=np.int64)
    batch_of[order] = np.repeat(np.arange(len(batches)), [len(b) for b in batches])
    assert np.mean(batch_of[1:] == batch_of[:-1]) < 0.01, (
        "next to each other in the input, rarely in training"
    )
    full = [b for b in batches if len(b) == 64]
    share = np.array([(sample[b] == 0).sum() for b in full])
    p = 0.3
    assert share.mean() == pytest.approx(64 * p, rel=0.02)
    # blocks of 64 in pools of 16,384 add a quarter to the hypergeometric variance
    assert 0.8 < share.var() / (64 * p * (1 - p)) < 1.5
    padded = sum(len(b) * n_open[b].max() for b in batches)
    assert n_open.sum() / padded > 0.9
    for pool in order.reshape(5, POOL):  # each block is met in one pool alone, so it is read once
        assert len(np.unique(pool // 64)) == POOL // 64
    again = plan_batches(np.arange(n), n_open, batch_size=64, seed=0, epoch=0, block=64)
    other = plan_batches(np.arange(n), n_open, batch_size=64, seed=0, epoch=1, block=64)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not np.array_equal(order, np.concatenate(other))


@pytest.mark.parametrize("rows", [[], [3], [200, 3, 64, 65, 1]])
def test_blocks_of_few_cells(rows):
    rows = np.array(rows, dtype=np.int64)
    batches = plan_batches(rows, np.ones(len(rows), int), batch_size=64, seed=0, epoch=0, block=64)
    assert sorted(np.concatenate([rows[:0], *batches])) == sorted(rows)


def test_deep_cells_make_smaller_pools(monkeypatch):
    monkeypatch.setattr("annatac.corpus.batches.POOL_TOKENS", 64 * 100 * 2)
    batches = plan_batches(np.arange(6400), np.full(6400, 100), batch_size=64, seed=0, epoch=0, block=64)
    for i in range(0, len(batches), 2):  # two batches a pool of two blocks
        assert len(np.unique(np.concatenate(batches[i : i + 2]) // 64)) == 2


# ------------------------------------------------------------------------------- what is refused


def shard_of(folder: Path) -> Path:
    return folder / Corpus.open(folder).manifest.samples[1].shards[0].file


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def test_a_missing_shard(folder):
    path = shard_of(folder)
    path.unlink()
    with pytest.raises(MissingFileError, match=rf"{path.name} is missing.*Copy the corpus again"):
        Corpus.open(folder)


def test_a_truncated_shard(folder):
    path = shard_of(folder)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedFileError, match=rf"{path.name} has [\d,]+ bytes; [\d,]+ are expected"):
        Corpus.open(folder)


def test_an_altered_shard_is_found_by_verify(folder):
    path = shard_of(folder)
    _flip(path)
    corpus = Corpus.open(folder)
    with pytest.raises(DamagedFileError, match=rf"{path.name} is damaged.*checksum"):
        corpus.verify()
    _flip(folder / corpus.manifest.samples[0].shards[0].file)
    with pytest.raises(DamagedFileError, match="2 files of"):
        corpus.verify()


def test_a_shard_that_shrinks_while_it_is_read(folder):
    corpus, path = Corpus.open(folder), shard_of(folder)
    os.truncate(path, 400)
    with pytest.raises(DamagedFileError, match="it ends too early"):
        corpus.flat(np.arange(229))


def test_another_format_version(folder):
    path = folder / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))
    with pytest.raises(InputError, match=r"format version 7, this annatac .* reads version 1"):
        Corpus.open(folder)


def test_an_altered_manifest(folder):
    path = folder / "corpus.json"
    path.write_text(path.read_text().replace('"n_cells": 77', '"n_cells": 76'))
    with pytest.raises(DamagedFileError, match="was altered or damaged"):
        Corpus.open(folder)
    path.write_text("{")
    with pytest.raises(DamagedFileError, match="cannot be read"):
        Corpus.open(folder)
    path.write_text("{}")
    with pytest.raises(InputError, match="not that of a corpus"):
        Corpus.open(folder)


def test_no_corpus(tmp_path):
    assert not is_corpus(tmp_path)
    with pytest.raises(MissingFileError, match=r"is no corpus.*no corpus\.json"):
        Corpus.open(tmp_path)


def test_another_universe(folder):
    message = "over another universe: it has 300 islands on hg38, those given are 299"
    with pytest.raises(InputError, match=message), open_for_writing(folder, universe_of(299)):
        pass
    with (
        open_for_writing(folder, universe_of()) as writer,
        pytest.raises(InputError, match="'x' is over another universe: 299 islands, the corpus has 300"),
    ):
        writer.append("x", cells_of(4, 5)[:, :299])
    universe_of(299).save(folder / "islands.tsv.gz")
    with pytest.raises(DamagedFileError, match="holds another universe"):
        Corpus.open(folder).verify()


@pytest.mark.parametrize(
    ("name", "tokens", "message"),
    [
        ("second", cells_of(3, 7), "'second' is in the corpus already"),
        ("copy", SAMPLES["second"], "'copy' holds the same cells as 'second'"),
        ("void", cells_of(3, 7)[:0], "'void' has no cell"),
        ("six", cells_of(3, 7) * 2, "classes of 2 to 10 were found"),
    ],
)
def test_samples_that_are_refused_leave_nothing(folder, name, tokens, message):
    before = sorted(p.name for p in folder.rglob("*"))
    with open_for_writing(folder) as writer, pytest.raises(InputError, match=message):
        writer.append(name, sp.csr_matrix(tokens), shard_tokens=1500)
    assert sorted(p.name for p in folder.rglob("*")) == before
    Corpus.open(folder).verify()


def test_unsorted_islands_are_refused(folder):
    odd = sp.csr_matrix((np.ones(2, np.uint8), np.array([5, 3]), np.array([0, 2])), (1, N_ISLANDS))
    with open_for_writing(folder) as writer, pytest.raises(InputError, match="must ascend"):
        writer.append("odd", odd)


def test_a_full_disk_keeps_what_was_finished(folder, full_disk):
    before = sorted(p.name for p in folder.rglob("*"))
    full = pytest.raises(OutputError, match="the disk is full")
    with open_for_writing(folder) as writer, full_disk(shard_module), full:
        writer.append("large", cells_of(200, 11), shard_tokens=1500)
    assert sorted(p.name for p in folder.rglob("*")) == before
    Corpus.open(folder).verify()


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match=r"something else than a corpus \(thesis.tex\)"):
        open_for_writing(tmp_path, universe_of()).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError, match="is a file"):
        open_for_writing(tmp_path / "thesis.tex", universe_of()).__enter__()


# -------------------------------------------------------------------------------------- two writers

_WRITER = """
import os, signal, sys
sys.path.insert(0, {here!r})
from test_store import cells_of
from annatac.corpus import open_for_writing
def parts():
    yield cells_of(60, 21)
    print("half", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
with open_for_writing({folder!r}) as writer:
    writer.append("killed", parts())
"""


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_trace(folder):
    """Another process holds the lock, is named, and is killed in the middle of a sample."""
    script = _WRITER.format(here=str(Path(__file__).parent), folder=str(folder))
    held = Corpus.open(folder).checksum
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "half\n"
        with (
            pytest.raises(
                OutputError, match=rf"Another process writes into .*: process {other.pid} of .* on"
            ),
            open_for_writing(folder),
        ):
            pass
        assert Corpus.open(folder).checksum == held, "readers go on"
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.wait() == -signal.SIGKILL
    assert len(list((folder / "shards").iterdir())) == 8, "the shard of the unfinished sample"
    Corpus.open(folder).verify()
    with open_for_writing(folder) as writer:  # the stale lock is taken over
        assert len(list((folder / "shards").iterdir())) == 7
        writer.append("killed", cells_of(60, 21))
    assert Corpus.open(folder).n_cells == 229 + 60
    Corpus.open(folder).verify()
