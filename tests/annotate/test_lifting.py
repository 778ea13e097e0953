"""Queries on another assembly than the model's: lifted, they are named as they would be on the model's."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

import annatac
from annatac import datasets, jobs, keys, tl
from annatac.cli.app import app
from annatac.errors import AnnatacWarning, AssemblyError, InputError
from annatac.genome import island_names
from annatac.genome.assemblies import chrom_lengths
from annatac.pp import peak_islands

SHIFT = 1234  # hg19 position = hg38 position + SHIFT, in these tests


@pytest.fixture
def chain(tmp_path):
    """A chain file from hg19 to hg38 in which every chromosome of hg19 is shifted, but for chr2, which is lost."""
    old, new = chrom_lengths("hg19"), chrom_lengths("hg38")
    text = ""
    for i, name in enumerate(chrom for chrom in old if chrom in new and chrom not in ("chrM", "chr2")):
        size = min(old[name] - SHIFT, new[name])
        text += f"chain 1 {name} {old[name]} + {SHIFT} {SHIFT + size} {name} {new[name]} + 0 {size} {i}\n{size}\n\n"
    path = tmp_path / "made_up.chain.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture(autouse=True)
def no_chain_at_hand(monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)


@pytest.fixture
def shifted(query) -> AnnData:
    """The query as if it were on hg19."""
    var = pd.DataFrame(
        index=island_names(query.var["chrom"], query.var["start"] + SHIFT, query.var["end"] + SHIFT)
    )
    return AnnData(query.X.copy(), obs=query.obs.copy(), var=var, uns={keys.GENOME: "hg19"})


@pytest.fixture
def without_chr2(query) -> AnnData:
    return query[:, query.var["chrom"] != "chr2"].copy()


def same_calls(a: AnnData, b: AnnData) -> None:
    np.testing.assert_array_equal(a.obsm[keys.PROBABILITIES], b.obsm[keys.PROBABILITIES])


def test_a_lifted_query_gets_the_calls_of_the_original(shifted, without_chr2, annotator, chain):
    tl.annotate(without_chr2, annotator)
    with pytest.warns(
        AnnatacWarning, match=r"from hg19 to hg38 by made_up\.chain\.gz: \d+\.\d\d% of the counts"
    ):
        tl.annotate(shifted, annotator, chain=chain)
    same_calls(shifted, without_chr2)
    assert shifted.uns[keys.GENOME] == "hg19"  # the cells stay as they were read
    assert shifted.var_names[0].startswith("chr1:")


def test_a_chain_among_the_data_sets_is_found(shifted, without_chr2, annotator, chain, monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: chain)
    tl.annotate(without_chr2, annotator)
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        tl.annotate(shifted, annotator)
    same_calls(shifted, without_chr2)


def test_without_a_chain_the_query_is_refused(shifted, annotator):
    with pytest.raises(AssemblyError, match=r"on hg19, the model on hg38\. Give a UCSC chain file.*--chain"):
        tl.annotate(shifted, annotator)


@pytest.mark.parametrize("with_chain", [False, True])
def test_another_species_is_refused(shifted, annotator, chain, with_chain):
    shifted.uns[keys.GENOME] = "mm10"
    with pytest.raises(
        AssemblyError, match=r"cells are mouse \(mm10\), the islands human \(hg38\).*model.* of mm10"
    ):
        tl.annotate(shifted, annotator, chain=chain if with_chain else None)


def test_islands_are_lifted_only_on_request(shifted, query, annotator, chain):
    islands = peak_islands(shifted)
    with pytest.raises(InputError, match=r"islands of 5,000 bp of hg19.*lift_islands=True"):
        tl.annotate(islands, annotator, chain=chain)
    lifting = annotator.with_chain(chain, lift_islands=True).lifting
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        lifted = peak_islands(islands, lift=lifting.to(annotator.artifact.universe, "hg19"))
    # an island of hg19 is 1,234 bp further on: most of it is the island of the same name in hg38
    names = {name for name in peak_islands(shifted).var_names if not name.startswith("chr2:")}
    assert set(lifted.var_names) == names
    assert lifted.uns[keys.GENOME] == "hg38"
    assert 0.5 < lifted.uns[keys.ISLANDS]["share_lifted"] < 1
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        tl.annotate(islands, annotator, chain=chain, lift_islands=True)
    assert keys.LABEL in islands.obs


def test_the_share_lost_is_kept(shifted, annotator, chain):
    lift = annotator.with_chain(chain).lifting.to(annotator.artifact.universe, "hg19")
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        islands = peak_islands(shifted, lift=lift)
    on_chr2 = shifted.var_names.str.startswith("chr2:")
    lost = shifted.X[:, on_chr2].sum() / shifted.X.sum()
    assert islands.uns[keys.ISLANDS]["share_lifted"] == pytest.approx(1 - lost)
    assert islands.uns[keys.ISLANDS]["lifted_from"] == "hg19"


def test_fragments_are_counted_in_the_counterparts_of_the_models_peaks(tmp_path, annotator, chain):
    peaks = annotator.artifact.universe.member_peaks().iloc[:60]
    peaks = peaks[peaks["chrom"] != "chr2"]
    rows = [
        (chrom, start + shift + 10, start + shift + 200, f"cell{k}", 1)
        for chrom, start in zip(peaks["chrom"], peaks["start"], strict=True)
        for k in range(3)
        for shift in [SHIFT]
    ]
    for name, shift in (("hg19", 0), ("hg38", SHIFT)):
        lines = [f"{c}\t{s - shift}\t{e - shift}\t{b}\t{n}\n" for c, s, e, b, n in sorted(rows)]
        (tmp_path / f"{name}_fragments.tsv").write_text("".join(lines))
    lifting = annotator.with_chain(chain)
    original = annotator.read(tmp_path / "hg38_fragments.tsv", genome="hg38")
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        lifted = lifting.read(tmp_path / "hg19_fragments.tsv", genome="hg19")
    assert lifted.uns[keys.GENOME] == "hg38"
    opened = [name for name in original.var_names if original[:, name].X.sum()]
    np.testing.assert_array_equal(lifted[:, opened].X.toarray(), original[:, opened].X.toarray())
    assert lifted.X.sum() == original.X.sum()


def test_from_file_to_file(shifted, model_folder, chain, tmp_path):
    shifted.write_h5ad(tmp_path / "q.h5ad")
    with pytest.warns(AnnatacWarning, match="Lifted from hg19"):
        jobs.annotate([tmp_path / "q.h5ad"], tmp_path / "out.h5ad", model=model_folder, chain=chain)
    written = annatac.read(tmp_path / "out.h5ad")
    assert written.uns[keys.GENOME] == "hg19"
    assert keys.LABEL in written.obs


def test_a_model_with_places_needs_no_chain(shifted, without_chr2, annotator, chain, tmp_path):
    annotator.with_places(chain, "hg19").save(tmp_path / "both")
    own = annatac.load(tmp_path / "both")
    places = own.artifact.places["hg19"]
    on_chr2 = (annotator.artifact.universe.member_peaks()["chrom"] == "chr2").to_numpy()
    np.testing.assert_array_equal(places["position"] < 0, on_chr2)
    tl.annotate(without_chr2, annotator)
    with pytest.warns(AnnatacWarning, match=r"from hg19 to hg38 by the model's own places"):
        tl.annotate(shifted, own)
    same_calls(shifted, without_chr2)
    # both ways at once: the model's own assembly needs no lifting
    again = without_chr2.copy()
    tl.annotate(again, own)
    same_calls(again, without_chr2)


def test_models_lift(annotator, chain, tmp_path, shifted, without_chr2):
    annotator.save(tmp_path / "one")
    options = ["-o", str(tmp_path / "both"), "--genome", "hg19", "--chain", str(chain)]
    result = CliRunner().invoke(app, ["models", "lift", str(tmp_path / "one"), *options])
    assert result.exit_code == 0, result.output
    assert "peaks have a place on hg19" in result.output
    assert list(annatac.load(tmp_path / "both").artifact.places) == ["hg19"]
