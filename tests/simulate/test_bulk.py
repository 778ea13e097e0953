"""Cells drawn from profiles have the depth, counts, ratios and mixtures that were asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac.errors import ConfigError, InputError
from annatac.simulate import CellStatistics, Profiles, cell_statistics, from_bulk
from annatac.simulate.bulk import BulkCells
from annatac.simulate.fit import fit_mixture
from annatac.simulate.islands import group_peaks

N_PEAKS = 3000
SHALLOW = CellStatistics.usual(median_open=300)


@pytest.fixture(scope="module")
def profiles():
    """Three types over 3,000 peaks, two an island; B and C share a third of what A lacks."""
    random = np.random.default_rng(5)
    base = random.gamma(1.0, size=N_PEAKS)
    signal = np.stack([base * np.where(random.random(N_PEAKS) < 0.2, 8, 1) for _ in "ABC"])
    start = np.arange(N_PEAKS) * 2500 + 1000
    peaks = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 500})
    return Profiles(
        names=["A", "B", "C"], signal=sp.csr_matrix(signal, dtype=np.float32), peaks=peaks, genome="hg38"
    )


@pytest.fixture(scope="module")
def cells(profiles):
    return from_bulk(profiles, 300, statistics=SHALLOW, background=0.0)


def n_open_islands(cells):
    island_of, n = group_peaks(cells.var)
    to_island = sp.csr_matrix((np.ones(len(island_of)), (np.arange(len(island_of)), island_of)))
    return np.diff(((cells.X > 0) @ to_island[:, :n]).tocsr().indptr)


def test_what_is_in_the_file(cells):
    assert cells.shape == (900, N_PEAKS)
    assert cells.X.dtype == np.int32
    assert cells.obs["cell_type"].value_counts().to_dict() == {"A": 300, "B": 300, "C": 300}
    assert cells.obs_names.is_unique
    assert cells.uns["genome"] == "hg38"
    assert "not real cells" in cells.uns["simulated"]["note"]


def test_depth_follows_the_quantiles(cells):
    wanted = SHALLOW.open_islands
    found = np.quantile(n_open_islands(cells), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(found, wanted[[20, 100, 180]], rtol=0.06)


def test_fragments_fall_by_the_signal(cells, profiles):
    a = np.asarray(cells.X[:300].sum(axis=0)).ravel()
    rate = profiles.signal[0].toarray().ravel()
    expected = rate / rate.sum() * a.sum()
    chi2 = (
        (a - expected) ** 2 / np.maximum(expected, 1) / 1.5
    ).mean()  # a count of 1 or 2: variance 5/3 of mean
    assert 0.9 < chi2 < 1.2


def test_second_insertions(profiles):
    statistics = CellStatistics(open_islands=np.array([10.0, 20.0]), second_insertion=1.0)
    assert set((from_bulk(profiles, 20, statistics=statistics).X.data % 2).tolist()) == {0}


def test_the_first_cells_do_not_depend_on_their_number_nor_on_parts(profiles):
    many, few = (
        from_bulk(profiles, n, statistics=SHALLOW, doublets=0.2, batches=2, seed=3) for n in (700, 10)
    )
    rows = np.concatenate([[*range(5), *range(350, 355)]])  # of type A, batch 1 and 2
    assert (many.X[rows] != few.X[:10]).nnz == 0
    other = from_bulk(profiles, 10, statistics=SHALLOW, doublets=0.2, batches=2, seed=4)
    assert (other.X != few.X).nnz > 0


def test_doublets_hold_two_cells(profiles):
    statistics = CellStatistics(open_islands=np.array([200.0, 200.0]), second_insertion=0.0)
    cells = from_bulk(profiles, 200, statistics=statistics, doublets=0.3)
    depth = np.asarray(cells.X.sum(axis=1)).ravel()
    is_double = cells.obs["simulated_doublet"].to_numpy()
    assert 0.2 < is_double.mean() < 0.4
    assert 1.9 < depth[is_double].mean() / depth[~is_double].mean() < 2.1


def test_batches_shift_peaks(profiles):
    def spread(effect):
        cells = from_bulk(profiles, 400, statistics=SHALLOW, batches=2, batch_effect=effect, background=0.0)
        a, b = (
            np.asarray(cells.X[(cells.obs["batch"] == f"batch{i}").to_numpy()].sum(axis=0)).ravel()
            for i in (1, 2)
        )
        deep = a + b > 200
        return np.log(a[deep] / b[deep]).std()

    assert spread(0.0) < 0.2
    assert spread(0.5) == pytest.approx(0.5 * np.sqrt(2), rel=0.15)


def test_numbers_by_type(profiles):
    cells = from_bulk(profiles, {"C": 5, "A": 2})
    assert cells.obs["cell_type"].value_counts().to_dict() == {"C": 5, "A": 2}


def test_the_mean_openness_is_that_of_the_cells_and_the_ratios_those_of_the_bulk(profiles):
    random = np.random.default_rng(1)
    openness = random.uniform(0.01, 0.2, N_PEAKS)
    statistics = CellStatistics(
        open_islands=np.array([250.0, 250.0]), second_insertion=0.0, openness=openness
    )
    cells = from_bulk(profiles, 2000, statistics=statistics, background=0.0)
    found = np.asarray((cells.X > 0).mean(axis=0)).ravel()
    assert np.corrcoef(np.log(found), np.log(openness))[0, 1] > 0.95
    scaled = np.asarray(profiles.signal.toarray() / profiles.signal.sum(axis=1))
    rates = [
        np.asarray(cells.X[(cells.obs["cell_type"] == kind).to_numpy()].mean(axis=0)).ravel() for kind in "AB"
    ]
    clear = np.minimum(*rates) > 0.03
    slope = np.polyfit(np.log(scaled[0] / scaled[1])[clear], np.log(rates[0] / rates[1])[clear], 1)[0]
    assert slope == pytest.approx(1, abs=0.05)


def test_statistics_come_back_from_cells_drawn_with_them(cells, profiles):
    found = cell_statistics(cells, peaks=profiles.peaks)
    np.testing.assert_allclose(np.median(found.open_islands), np.median(n_open_islands(cells)))
    assert found.second_insertion == pytest.approx(
        0.5, abs=0.07
    )  # types differ, which looks like more fragments a peak
    np.testing.assert_allclose(found.openness, np.asarray((cells.X > 0).mean(axis=0)).ravel())
    with pytest.raises(InputError, match="none of the cells' peaks"):
        cell_statistics(cells, peaks=profiles.peaks.assign(end=profiles.peaks["end"] + 1))


def test_the_mixture_is_found_without_labels(profiles):
    statistics = CellStatistics.usual(median_open=300)
    cells = from_bulk(profiles, {"A": 600, "B": 300, "C": 100}, statistics=statistics, background=0.0)
    rates = profiles.signal.toarray() / profiles.signal.sum(axis=1)
    openness = np.asarray((cells.X > 0).mean(axis=0)).ravel()
    shares = fit_mixture(cells.X, np.asarray(rates) + 1e-6, openness)
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.03)


def test_parts_are_of_limited_size(profiles):
    sizes = [
        len(part.obs)
        for part in BulkCells(profiles, 15_000, statistics=CellStatistics.usual(median_open=10)).parts()
    ]
    assert sum(sizes) == 45_000
    assert max(sizes) < 20_000 + 256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells_per_type": {"D": 3}}, "no profile of 'D'.*A, B, C"),
        ({"cells_per_type": 0}, "0 cells are asked for"),
        ({"background": 1.5}, "background is 1.5"),
        ({"doublets": -0.1}, "doublets is -0.1"),
        ({"batches": 0}, "batches is 0"),
        ({"batch_effect": -1.0}, "batch_effect is -1.0"),
    ],
)
def test_bad_options(profiles, options, words):
    with pytest.raises(ConfigError, match=words):
        from_bulk(profiles, **{"cells_per_type": 5, **options})
