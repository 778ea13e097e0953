"""The bins of an assembly: by hand on a small genome, and in the order that cells' islands have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from annatac.errors import ConfigError, InputError
from annatac.pp import peak_islands
from annatac.pp.bins import all_islands
from annatac.pp.universe import Universe
from annatac.simulate import simulate_cells


@pytest.fixture
def sizes(tmp_path):
    path = tmp_path / "small.chrom.sizes"
    path.write_text("chr2\t10000\nchr10\t12001\nchrM\t16569\nchrUn_1\t9000\n")
    return path


def test_every_bin_of_the_standard_chromosomes(sizes):
    universe = all_islands(sizes)
    assert universe.names.tolist() == [
        "chr2:0-5000", "chr2:5000-10000", "chr10:0-5000", "chr10:5000-10000", "chr10:10000-15000",
    ]  # fmt: skip
    assert (universe.genome, universe.bin_size) == ("small", 5000)
    assert universe.genes is None
    assert not universe.mean_openness.any()
    assert len(all_islands(sizes, bin_size=6000)) == 2 + 3


def test_bins_with_a_start_site(sizes):
    genes = pd.DataFrame(
        {"chrom": ["2", "chr10", "chr10", "chrM"], "symbol": list("ABCD"), "tss": [5000, 1, 9, 1]}
    )
    assert all_islands(sizes, genes=genes).genes.tolist() == ["", "A", "B;C", "", ""]
    chosen = all_islands(sizes, genes=genes, islands="tss")
    assert chosen.names.tolist() == ["chr2:5000-10000", "chr10:0-5000"]
    with pytest.raises(ConfigError, match="needs genes"):
        all_islands(sizes, islands="tss")
    with pytest.raises(InputError, match="No gene has its start site on a chromosome of small"):
        all_islands(sizes, genes=genes[3:], islands="tss")


def test_no_standard_chromosome(tmp_path):
    (tmp_path / "odd.sizes").write_text("scaffold_1\t5000\n")
    with pytest.raises(InputError, match="has no standard chromosome: scaffold_1"):
        all_islands(tmp_path / "odd.sizes")


def test_cells_islands_are_among_them_in_the_same_order():
    islands = Universe.from_islands(peak_islands(simulate_cells(20, n_islands=300, open_islands=50)))
    universe = all_islands("hg38")
    at = universe.index_of(islands.names)
    assert (at >= 0).all()
    assert (np.diff(at) > 0).all()
