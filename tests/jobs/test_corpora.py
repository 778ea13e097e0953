"""Many samples into a corpus: what is in it, what is left out, and what happens when something goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from annatac import jobs
from annatac.corpus import Corpus, is_corpus, open_for_writing
from annatac.corpus import shards as shard_module
from annatac.corpus.selection import as_matrix
from annatac.errors import AnnatacWarning, ConfigError, InputError, Interrupted, OutputError
from annatac.jobs import corpora, intake
from annatac.jobs.corpora import prepare_corpus
from annatac.jobs.parallel import SchedulerLost
from annatac.pp import peak_islands
from annatac.pp.tokens import tokenize
from annatac.pp.universe import Universe
from annatac.simulate import simulate_cells


@pytest.fixture(scope="session")
def samples(tmp_path_factory) -> Path:
    """Three files of 60 cells over peaks of their own, and a small genome that they are on."""
    folder = tmp_path_factory.mktemp("samples")
    for i, name in enumerate("abc"):
        cells = simulate_cells(60, cell_types=3, n_islands=200, open_islands=40, seed=i)
        cells.X.data[cells.X.indptr[7] : cells.X.indptr[8]] = 0  # a cell with no open island
        cells.X.eliminate_zeros()
        cells.write_h5ad(folder / f"{name}.h5ad")
    return folder


@pytest.fixture(scope="session")
def universe(samples, tmp_path_factory) -> Path:
    """The islands of all three: fewer than all bins of hg38, so that tests are fast."""
    path = tmp_path_factory.mktemp("universe") / "islands.tsv.gz"
    joined = jobs.reading.read([samples / f"{name}.h5ad" for name in "abc"])
    Universe.from_islands(joined).save(path)
    return path


def paths(samples: Path, names: str) -> list[Path]:
    return [samples / f"{name}.h5ad" for name in names]


def content(folder: Path) -> dict[str, object]:
    corpus = Corpus.open(folder)
    corpus.verify()
    return {s.name: s.n_cells for s in corpus.manifest.samples}


@pytest.mark.parametrize("n_rows", [7, 2_000])
def test_samples_are_tokens_over_one_universe(n_rows, samples, universe, tmp_path, monkeypatch):
    def read(*arguments, **options):
        adata = jobs.reading.read(*arguments, **options)
        assert not sp.issparse(adata.X)  # counts stay on disk
        return adata

    monkeypatch.setattr(intake, "read", read)
    monkeypatch.setattr(intake, "_ROWS", n_rows)
    report = prepare_corpus(paths(samples, "ab"), tmp_path / "corpus", universe=universe, workers=1)
    assert [sample.name for sample in report.added] == ["a", "b"]
    corpus = Corpus.open(tmp_path / "corpus")
    first = 0
    for name, sample in zip("ab", corpus.manifest.samples, strict=True):
        islands = peak_islands(ad.read_h5ad(samples / f"{name}.h5ad"))
        tokens, overlap = tokenize(islands, corpus.universe)
        got = as_matrix(corpus, np.arange(first, first + 60))
        assert (got != tokens).nnz == 0
        first += 60
        path = samples / f"{name}.h5ad"
        assert sample.source.path == str(path)
        assert sample.source.bytes == path.stat().st_size
        assert len(sample.source.sha256) == 64
        assert (sample.known, sample.n_counts) == (overlap.share_of_query_counts_known, islands.X.sum())
        assert sample.counted == "peaks"
    assert corpus.universe.peaks is None
    facts = jobs.corpus_facts(tmp_path / "corpus")
    assert (facts["n_cells"], facts["genome"]) == (120, "hg38")
    assert facts["samples"][1]["median_open"] == np.median(np.diff(tokens.indptr))


def test_fragments_over_all_bins_of_the_assembly(tmp_path):
    lines = [f"chr1\t{100 + i}\t{9_000 + i}\tcell{i % 3}\t1\n" for i in range(12)]
    (tmp_path / "x.fragments.tsv").write_text("".join(lines))
    (tmp_path / "g.sizes").write_text("chr1\t20000\nchr2\t5000\n")
    prepare_corpus(
        [tmp_path / "x.fragments.tsv"], tmp_path / "corpus", genome=str(tmp_path / "g.sizes"), min_fragments=2
    )
    corpus = Corpus.open(tmp_path / "corpus")
    assert as_matrix(corpus, np.arange(3)).toarray().tolist() == [[4, 4, 0, 0, 0]] * 3
    sample = corpus.manifest.samples[0]
    assert (sample.name, sample.counted, sample.n_counts) == ("x", "fragments", 24)
    assert sample.options == {"min_fragments": "2"}
    with pytest.raises(
        InputError, match=r"read with other options \(--min-fragments 2; now --min-fragments 3\)"
    ):
        prepare_corpus([tmp_path / "x.fragments.tsv"], tmp_path / "corpus", min_fragments=3)


def test_what_is_there_is_left_out_and_new_samples_are_added(samples, universe, tmp_path):
    folder, said = tmp_path / "corpus", []
    prepare_corpus(paths(samples, "ba"), folder, universe=universe, workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    report = prepare_corpus(
        paths(samples, "abc"), folder, workers=1, on_sample=lambda name, outcome: said.append((name, outcome))
    )
    assert report.skipped == ["a", "b"]
    assert [name for name, _ in said] == ["a", "b", "c"]
    assert list(content(folder)) == ["a", "b", "c"], "in the order of the command"
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    assert before.items() <= after.items(), "not written again"
    prepare_corpus(paths(samples, "abc"), tmp_path / "at_once", universe=universe, workers=1)
    assert Corpus.open(folder).checksum == Corpus.open(tmp_path / "at_once").checksum


def test_a_file_that_was_only_touched_or_moved_is_known(samples, universe, tmp_path):
    path = tmp_path / "a.h5ad"
    path.write_bytes((samples / "a.h5ad").read_bytes())
    prepare_corpus([samples / "a.h5ad"], tmp_path / "corpus", universe=universe)
    assert prepare_corpus([path], tmp_path / "corpus").skipped == ["a"]
    path.write_bytes((samples / "b.h5ad").read_bytes())
    with pytest.raises(
        InputError, match=r"has a sample 'a' that was read from something else.*NAME=.*a\.h5ad"
    ):
        prepare_corpus([path], tmp_path / "corpus")
    report = prepare_corpus([f"other={path}"], tmp_path / "corpus")
    assert report.manifest.samples[-1].name == "other"


def test_a_bad_sample_is_named_and_the_others_are_kept(samples, universe, tmp_path):
    (tmp_path / "bad.h5ad").write_bytes((samples / "a.h5ad").read_bytes()[:5000])
    inputs = [samples / "a.h5ad", tmp_path / "bad.h5ad", tmp_path / "none.h5ad", samples / "b.h5ad"]
    message = r"2 of 4 samples could not be added to .*corpus; 2 are in it\.\n(?s:.*)bad: .*bad\.h5ad is dam"
    with pytest.raises(InputError, match=message) as caught:
        prepare_corpus(inputs, tmp_path / "corpus", universe=universe, workers=1)
    assert "  none: " in str(caught.value)
    assert caught.value.exit_code == 2
    assert list(content(tmp_path / "corpus")) == ["a", "b"]
    assert len(list((tmp_path / "corpus" / "shards").iterdir())) == 2
    with pytest.raises(InputError, match="it was not made"):
        prepare_corpus([tmp_path / "none.h5ad"], tmp_path / "nothing", universe=universe)
    assert not (tmp_path / "nothing").exists()


def test_a_sample_of_another_assembly(samples, universe, tmp_path):
    cells = ad.read_h5ad(samples / "a.h5ad")
    cells.uns["genome"] = "hg19"
    cells.write_h5ad(tmp_path / "old.h5ad")
    with pytest.raises(InputError, match=r"old: .*old.h5ad is on hg19, the corpus on hg38"):
        prepare_corpus([tmp_path / "old.h5ad"], tmp_path / "corpus", universe=universe)


def test_the_same_cells_twice(samples, universe, tmp_path):
    with pytest.raises(InputError, match="'again' holds the same cells as 'a'"):
        prepare_corpus(
            [samples / "a.h5ad", f"again={samples / 'a.h5ad'}"],
            tmp_path / "corpus",
            universe=universe,
            workers=1,
        )
    assert list(content(tmp_path / "corpus")) == ["a"]


def test_a_full_disk_ends_it_and_keeps_what_was_finished(samples, universe, tmp_path, full_disk):
    words = r"the disk is full.* 1 of 3 samples are in .*the same command adds"
    with full_disk(shard_module) as calls, pytest.raises(OutputError, match=words):
        prepare_corpus(paths(samples, "abc"), tmp_path / "corpus", universe=universe, workers=1)
    assert len(calls) == 2, "the others are not tried"
    assert list(content(tmp_path / "corpus")) == ["a"]
    report = prepare_corpus(paths(samples, "abc"), tmp_path / "corpus", universe=universe, workers=1)
    assert (report.skipped, [sample.name for sample in report.added]) == (["a"], ["b", "c"])


def test_ctrl_c_keeps_what_was_finished(samples, universe, tmp_path, monkeypatch):
    take_in = corpora.take_in

    def stopped(intake):
        if intake.name == "b":
            raise KeyboardInterrupt
        return take_in(intake)

    monkeypatch.setattr(corpora, "take_in", stopped)
    with pytest.raises(Interrupted, match=r"Stopped. 1 of 3 samples are in") as caught:
        prepare_corpus(paths(samples, "abc"), tmp_path / "corpus", universe=universe, workers=1)
    assert caught.value.exit_code == 130
    assert list(content(tmp_path / "corpus")) == ["a"]


def test_a_scheduler_that_ends_keeps_what_was_finished(samples, universe, tmp_path, monkeypatch):
    def ending(function, todo, **options):
        yield 0, function(todo[0])
        raise SchedulerLost("The Dask scheduler has ended.")

    monkeypatch.setattr(corpora, "run_all", ending)
    with pytest.raises(
        SchedulerLost, match=r"has ended. 1 of 3 samples are in .*the same command adds the others"
    ):
        prepare_corpus(paths(samples, "abc"), tmp_path / "corpus", universe=universe)
    assert list(content(tmp_path / "corpus")) == ["a"]


def test_a_file_that_grows_while_it_is_read(samples, universe, tmp_path, monkeypatch):
    path = tmp_path / "a.h5ad"
    path.write_bytes((samples / "a.h5ad").read_bytes())
    read = intake.read

    def growing(*args, **kwargs):
        result = read(*args, **kwargs)
        os.utime(path, (1, 1))
        return result

    monkeypatch.setattr(intake, "read", growing)
    with pytest.raises(InputError, match=r"a.h5ad was changed while it was read"):
        prepare_corpus([path], tmp_path / "corpus", universe=universe)


def test_another_writer_is_at_work(samples, universe, tmp_path):
    with (
        open_for_writing(tmp_path / "corpus", Universe.load(universe)),
        pytest.raises(OutputError, match="Another process writes into"),
    ):
        prepare_corpus(paths(samples, "a"), tmp_path / "corpus")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name it with --genome"),
        ({"universe": "given", "bin_size": 1000}, "has islands of 5000 bp. Leave --bin-size out"),
        ({"universe": "given", "genome": "mm10"}, "is on hg38, not on mm10"),
        ({"universe": "given", "islands": "tss"}, "Leave --islands out"),
        ({"genome": "hg38", "islands": "tss"}, "needs genes"),
        ({"genome": "hg38", "workers": 2, "scheduler": "tcp://x:1"}, "Leave --workers out"),
    ],
)
def test_options_of_a_new_corpus(samples, universe, tmp_path, options, message):
    if "universe" in options:
        options = options | {"universe": universe}
    with pytest.raises(ConfigError, match=message):
        prepare_corpus(paths(samples, "ab"), tmp_path / "corpus", **options)
    assert not is_corpus(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"openness": "sum"}, "was written with --openness mean, now it is sum"),
        ({"genome": "hg19"}, "was written with --genome hg38, now it is hg19"),
        ({"bin_size": 1000}, "was written with --bin-size 5000, now it is 1000"),
        ({"islands": "tss", "genes": "x"}, "was written with --islands given, now it is tss"),
        ({"universe": "fewer"}, "is over other islands than those of"),
    ],
)
def test_options_of_a_corpus_that_exists(samples, universe, tmp_path, options, message):
    prepare_corpus(paths(samples, "a"), tmp_path / "corpus", universe=universe)
    if "universe" in options:
        Universe.load(universe).take(np.arange(9)).save(tmp_path / "fewer.tsv.gz")
        options = {"universe": tmp_path / "fewer.tsv.gz"}
    with pytest.raises(ConfigError, match=message):
        prepare_corpus(paths(samples, "b"), tmp_path / "corpus", **options)
    assert list(content(tmp_path / "corpus")) == ["a"]


def test_names(samples, universe, tmp_path):
    with pytest.raises(ConfigError, match="Two samples are called 'x'"):
        prepare_corpus([f"x={samples / 'a.h5ad'}", f"x={samples / 'b.h5ad'}"], tmp_path / "corpus")
    with pytest.raises(ConfigError, match="No input was given"):
        prepare_corpus([], tmp_path / "corpus")


@pytest.mark.slow
def test_in_parallel_it_is_the_same_corpus(samples, universe, tmp_path):
    """Two Dask workers; warnings of workers come with the sample's name; a bad sample does not matter."""
    pytest.importorskip("distributed")
    cells = ad.read_h5ad(samples / "c.h5ad")
    names = cells.var_names.tolist()
    cells.var_names = ["chrUn_x:1-9", *names[1:]]
    cells.var = cells.var[[]]
    dense = cells.X.toarray()
    dense[:, 0] = 1
    cells.X = type(cells.X)(dense)
    cells.write_h5ad(tmp_path / "c.h5ad")
    inputs = [*paths(samples, "ab"), tmp_path / "c.h5ad"]
    with pytest.warns(AnnatacWarning, match="Sample 'c': .* counts .* are left out"):
        prepare_corpus(inputs, tmp_path / "parallel", universe=universe, workers=2)
    with pytest.warns(AnnatacWarning, match="Sample 'c'"):
        prepare_corpus(inputs, tmp_path / "serial", universe=universe, workers=1)
    assert Corpus.open(tmp_path / "parallel").checksum == Corpus.open(tmp_path / "serial").checksum
    assert [path.name[0] for path in (tmp_path / "parallel" / "shards").iterdir()] == ["0"] * 3
