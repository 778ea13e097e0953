"""A base on another assembly than the reference: its vectors find their way by a chain file, in either direction."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import annatac
from annatac import datasets, keys
from annatac.config import Recipe
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, OverlapError
from annatac.genome import island_names
from annatac.genome.assemblies import chrom_lengths
from annatac.genome.liftover import Liftover
from annatac.model import artifact
from annatac.pp.lift import Lift
from annatac.train.from_base import lent_vectors
from annatac.train.placing import place

SHIFT = 10_000  # hg19 position = hg38 position + SHIFT, in these tests: two islands


def write_chain(path: Path, shift: int) -> Path:
    """Write a chain file from hg19 to hg38 in which every chromosome is shifted."""
    old, new = chrom_lengths("hg19"), chrom_lengths("hg38")
    text = ""
    for i, name in enumerate(chrom for chrom in old if chrom in new and chrom != "chrM"):
        size = min(old[name] - shift, new[name])
        text += f"chain 1 {name} {old[name]} + {shift} {shift + size} {name} {new[name]} + 0 {size} {i}\n{size}\n\n"
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return write_chain(tmp_path_factory.mktemp("chain") / "made_up.chain.gz", SHIFT)


@pytest.fixture(autouse=True)
def no_chain_at_hand(monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)


def test_islands_go_where_their_peaks_go(chain, universe):
    """hg38 -> hg19 adds 10,000: by hand, with two peaks, with none known, and past the base's islands."""
    own = universe([100_000, 105_000, 110_000], "hg19")
    lift = Lift(Liftover.read(chain, source="hg38", target="hg19"))
    asked = universe(
        [90_000, 95_000, 100_000, 200_000],
        "hg38",
        peaks=["90100-90300;94500-95900", "95000-95400;96000-96200", "", "200000-200100"],
    )
    got = place(asked, own, lift)
    wanted = [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]  # the second peak of the first: midpoint 95,200
    np.testing.assert_allclose(got.weights.toarray(), wanted)
    assert got.is_known.tolist() == [True, True, True, False]
    assert got.there.start.tolist() == [100_000, 105_000, 110_000, 210_000]
    assert got.there.genome == "hg19"


def test_an_island_that_lies_across_two_is_shared_by_its_parts(tmp_path, universe):
    half = write_chain(tmp_path / "half.chain.gz", 12_500)
    lift = Lift(Liftover.read(half, source="hg38", target="hg19"))
    got = place(universe([90_000], "hg38"), universe([100_000, 105_000], "hg19"), lift)
    np.testing.assert_allclose(got.weights.toarray(), [[0.5, 0.5]])


def test_an_island_without_a_counterpart_takes_its_genes(chain, universe):
    own = universe([100_000, 105_000, 500_000], "hg19", genes=["A", "", "B"])
    vectors = np.array([[1.0, 0], [3, 2], [8, 1]], dtype=np.float32)
    lift = Lift(Liftover.read(chain, source="hg38", target="hg19"))
    asked = universe([100_000, 83_000_000], "hg38", genes=["", "B"])
    asked = replace(asked, chrom=np.array(["chr1", "chr17"], dtype=object))  # hg19 has no such end of chr17
    got = place(asked, own, lift)
    assert got.there.chrom.tolist() == ["chr1", ""]
    lent = lent_vectors(got.there, own, vectors)
    np.testing.assert_allclose(lent, [[2, 1], [8, 1]], err_msg="the mean of the neighbours; the same gene")


# ------------------------------------------------------------------------------------ fine-tuning


def moved(cells: AnnData, by: int, genome: str) -> AnnData:
    var = pd.DataFrame(index=island_names(cells.var["chrom"], cells.var["start"] + by, cells.var["end"] + by))
    return AnnData(cells.X.copy(), obs=cells.obs.copy(), var=var, uns={keys.GENOME: genome})


@pytest.fixture
def hg19(reference):
    return moved(reference, SHIFT, "hg19")


@pytest.mark.parametrize("base_on", ["hg19", "hg38"])
def test_a_base_of_another_assembly_gives_the_vectors_of_the_same_places(
    reference, hg19, chain, debug, tmp_path, base_on
):
    cells = {"hg38": reference, "hg19": hg19}
    base = annatac.pretrain(cells.pop(base_on), output=tmp_path / "base", recipe=debug(epochs=1))
    [(own, labelled)] = cells.items()
    model = annatac.finetune(
        labelled, label_key="cell_type", output=tmp_path / "model", base=base, chain=chain, recipe=debug(epochs=1),
        hierarchy="none",
    )  # fmt: skip
    found, there = model.artifact.universe, artifact.load(base)
    assert found.genome == own
    step = SHIFT if own == "hg38" else -SHIFT
    names = [f"{c}:{s + step}-{s + step + 5000}" for c, s in zip(found.chrom, found.start, strict=True)]
    at = there.universe.index_of(names)
    assert (at >= 0).all()
    vectors = there.network.encoder.table.vectors.numpy()[at]
    np.testing.assert_allclose(model.artifact.network.encoder.table.vectors.numpy(), vectors, atol=0.05)
    annatac.tl.annotate(labelled, model)  # on its own assembly, without a chain
    assert keys.LABEL in labelled.obs


def test_a_base_with_weights_of_its_own_islands_lifts_the_reference(reference, hg19, chain, debug, tmp_path):
    recipe = debug(epochs=1, position_dim=8, thin=False, wide=False)
    base = annatac.pretrain(hg19, output=tmp_path / "base", recipe=recipe)
    with pytest.warns(AnnatacWarning, match="Lifted from hg38 to hg19"):
        model = annatac.finetune(
            reference, label_key="cell_type", output=tmp_path / "model", base=base, chain=chain, recipe=recipe,
            hierarchy="none",
        )  # fmt: skip
    assert model.artifact.universe.genome == "hg19"
    same = annatac.finetune(
        hg19, label_key="cell_type", output=tmp_path / "same", base=base, recipe=recipe, hierarchy="none"
    )
    np.testing.assert_array_equal(
        model.artifact.network.head.types.weight.detach(), same.artifact.network.head.types.weight.detach()
    )


def test_a_base_that_knows_half_of_the_islands_elsewhere_says_so(reference, hg19, chain, debug, tmp_path):
    base = annatac.pretrain(hg19[:, ::2].copy(), output=tmp_path / "base", recipe=debug(epochs=1))
    words = r"base is on hg19, the reference on hg38.* knows 6\d\.\d% .* stays on hg38"
    with pytest.warns(AnnatacWarning, match=words):
        annatac.finetune(
            reference, label_key="cell_type", output=tmp_path / "model", base=base, chain=chain,
            recipe=debug(epochs=1), hierarchy="none",
        )  # fmt: skip


def test_what_is_refused(reference, hg19, chain, debug, tmp_path):
    base = annatac.pretrain(hg19, output=tmp_path / "base", recipe=debug(epochs=1))
    common = {"label_key": "cell_type", "recipe": Recipe.load("debug"), "output": tmp_path / "model"}
    with pytest.raises(
        AssemblyError, match=r"base model is on hg19, the reference on hg38.*--chain hg19ToHg38"
    ):
        annatac.finetune(reference, base=base, **common)
    with pytest.raises(ConfigError, match="leads from the reference's assembly to that of a base"):
        annatac.finetune(reference, chain=chain, **common)
    mouse = reference.copy()
    mouse.uns[keys.GENOME] = "mm10"
    with pytest.raises(AssemblyError, match=r"cells are mouse \(mm10\), the islands human"):
        annatac.finetune(mouse, base=base, chain=chain, **common)
    far = moved(reference, 5 * SHIFT + 60_000_000, "hg38")
    with pytest.raises(OverlapError, match=r"median cell has \d open islands that the base model knows"):
        annatac.finetune(far, base=base, chain=chain, **common)
    assert not (tmp_path / "model").exists()
