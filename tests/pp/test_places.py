"""Places of a model's peaks on another assembly."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from annatac.errors import InputError, ModelError
from annatac.genome.liftover import Liftover
from annatac.pp.places import file_of, find_places, genome_of, liftover_by, load_places, save_places
from annatac.pp.universe import Universe


def universe(peaks=("1000-1500;3000-3500", "6000-6400")) -> Universe:
    n = len(peaks)
    return Universe(
        names=np.array(["chr1:0-5000", "chr1:5000-10000"], dtype=object)[:n],
        chrom=np.array(["chr1", "chr1"], dtype=object)[:n],
        start=np.array([0, 5000])[:n],
        end=np.array([5000, 10000])[:n],
        bin_size=5000,
        genome="hg19",
        n_peaks=np.array([2, 1], dtype=np.int32)[:n],
        mean_openness=np.ones(n, dtype=np.float32),
        peaks=np.array(peaks, dtype=object),
    )


def way(source="hg19", target="hg38", **columns) -> Liftover:
    """Return a way by three places: as it is 100 bp further on, lost, and on chr2, turned."""
    table = {
        "chrom": ["chr1", "chr1"],
        "position": [1250, 6200],
        "to_chrom": ["chr1", "chr2"],
        "to_position": [1350, 90_000],
        "strand": [1, -1],
    }
    return Liftover.by_places(pd.DataFrame(table | columns), source=source, target=target, means="by hand")


def test_positions_about_places_by_hand():
    # half way between 1,250 and 6,200 is 3,725; 2,500 bp beyond a place nothing is known
    at = [1250, 1251, 3724, 3750, 3751, 6200, 6201, 8700, 8701, 0]
    chrom, position, strand = way().positions(["chr1"] * len(at), at)
    assert list(zip(chrom, position.tolist(), strand.tolist(), strict=True)) == [
        ("chr1", 1350, 1),
        ("chr1", 1351, 1),
        ("chr1", 3824, 1),
        ("chr2", 92_450, -1),
        ("chr2", 92_449, -1),
        ("chr2", 90_000, -1),
        ("chr2", 89_999, -1),
        ("chr2", 87_500, -1),
        ("", -1, 1),
        ("chr1", 100, 1),
    ]


def test_there_and_back_again():
    there = way()
    back = there.back()
    assert (back.source, back.target) == ("hg38", "hg19")
    at = np.array([1000, 1250, 1500, 6000, 6399])
    chrom, position, _ = there.positions(["chr1"] * 5, at)
    again, where, _ = back.positions(chrom, position)
    assert set(again) == {"chr1"}
    np.testing.assert_array_equal(where, at)


def test_places_of_peaks_are_where_their_midpoints_go():
    one = way(position=[1250, 6200])
    places = find_places(universe(), one)
    # 3,250 is lifted with 1,250
    assert places["chrom"].tolist() == ["chr1", "chr1", "chr2"]
    assert places["position"].tolist() == [1350, 3350, 90_000]
    assert places["strand"].tolist() == [1, 1, -1]


def test_where_bins_were_counted_the_bins_have_places():
    bins = universe(peaks=("", ""))
    places = find_places(bins, way())
    middle = (bins.start + bins.end) // 2
    chrom, position, strand = way().positions(bins.chrom, middle)
    assert places["chrom"].tolist() == chrom.tolist()
    assert places["position"].tolist() == position.tolist()
    lifted = liftover_by(bins, places, "hg38").positions(chrom, position)
    assert lifted[1].tolist() == np.where(position < 0, -1, middle).tolist()
    assert lifted[2].tolist() == strand.tolist()


def test_a_query_is_lifted_by_the_places_alone():
    places = pd.DataFrame(
        {"chrom": ["chr1", "", "chr2"], "position": [1350, -1, 90_000], "strand": [1, 1, -1]}
    )
    there = liftover_by(universe(), places, "hg38")
    assert (there.source, there.target, there.means) == ("hg38", "hg19", "the model's own places")
    query = pd.DataFrame(
        {"chrom": ["chr1", "chr2", "chr3"], "start": [1300, 89_900, 5], "end": [1500, 90_050, 9]}
    )
    lifted = there.intervals(query)
    assert lifted.values.tolist() == [["chr1", 1200, 1400], ["chr1", 6151, 6301], ["", -1, -1]]


def test_the_table_is_written_and_read(tmp_path):
    places = pd.DataFrame(
        {"chrom": ["chr1", "", "chr2"], "position": [1350, -1, 90_000], "strand": [1, 1, -1]}
    )
    save_places(places, tmp_path / file_of("hg38"))
    pd.testing.assert_frame_equal(load_places(tmp_path / "places.hg38.tsv.gz"), places)
    assert genome_of("places.hg38.tsv.gz") == "hg38"
    assert genome_of("islands.tsv.gz") is None


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"None of the model's 3 peaks has a counterpart in hg38"):
        find_places(universe(), way(chrom=["chr7", "chr7"]))
    with pytest.raises(ModelError, match=r"1 places on hg38, and 3 peaks"):
        liftover_by(universe(), pd.DataFrame({"chrom": ["chr1"], "position": [5], "strand": [1]}), "hg38")
    path = tmp_path / "places.hg38.tsv.gz"
    for content in (b"no gzip", gzip.compress(b"chrom\tposition\nchr1\t5\n"), gzip.compress(b"")):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"places\.hg38\.tsv\.gz is no table of places"):
            load_places(path)
