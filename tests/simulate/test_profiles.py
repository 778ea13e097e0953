"""Bulk profiles are read from h5ad files and folders; what is wrong with them is said."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import datasets
from annatac.errors import AssemblyError, ConfigError, InputError, LabelError
from annatac.simulate import as_profiles, read_profiles
from annatac.simulate.overlap import carry_over


def bulk(types=("A", "B"), signal=((4, 0, 1), (0, 2, 2)), genome="hg19"):
    """Profiles over chr1:1000-1500, chr1:2000-2500 and chr2:0-500."""
    var = pd.DataFrame(index=["chr1:1000-1500", "chr1:2000-2500", "2:0-500"])
    obs = pd.DataFrame({"cell_type": list(types)}, index=[f"sample{i}" for i in range(len(types))])
    uns = {} if genome is None else {"genome": genome}
    return ad.AnnData(np.array(signal, dtype=np.float32), obs=obs, var=var, uns=uns)


def test_as_they_are():
    profiles = as_profiles(bulk())
    assert profiles.names == ["A", "B"]
    assert profiles.genome == "hg19"
    assert profiles.peaks["chrom"].tolist() == ["chr1", "chr1", "chr2"]
    assert profiles.signal.toarray().tolist() == [[4, 0, 1], [0, 2, 2]]


def test_replicates_are_averaged_at_one_scale_when_asked():
    same = bulk(("A", "A"), ((4, 0, 1), (0, 40, 10)))  # of sums 5 and 50, mean 27.5
    profiles = as_profiles(same, merge=True)
    assert profiles.names == ["A"]
    np.testing.assert_allclose(profiles.signal.toarray()[0] / 27.5, [0.4, 0.4, 0.2], rtol=1e-6)
    with pytest.raises(LabelError, match=r"more than one profile, first 'A' \(2\).*--merge"):
        as_profiles(same)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"types": ("A", None)}, LabelError, "1 of 2 profiles have no type .* first 'sample1'"),
        ({"types": ("A", " nan")}, LabelError, "have no type"),
        ({"genome": None}, ConfigError, "assembly of the profiles is not stated"),
        ({"signal": ((1, -1, 0), (1, 1, 1))}, InputError, "negative or missing values"),
        ({"signal": ((1, np.nan, 0), (1, 1, 1))}, InputError, "negative or missing values"),
        ({"signal": ((1, 1, 0), (0, 0, 0))}, InputError, "no signal at all, first 'B'"),
    ],
)
def test_bad_profiles(change, error, words):
    with pytest.raises(error, match=words):
        as_profiles(bulk(**change))


def test_bad_names_coordinates_and_assembly():
    with pytest.raises(LabelError, match=r"no names: obs has no column 'type'\. Did you mean 'cell_type'"):
        as_profiles(bulk(), type_key="type")
    without = bulk()
    without.var_names = ["a", "b", "c"]
    with pytest.raises(InputError, match="no coordinates"):
        as_profiles(without)
    beyond = bulk()
    beyond.var_names = ["chr1:1000-1500", "chr1:2000-2500", "chr21:48500000-48500500"]
    with pytest.raises(
        AssemblyError, match=r"1 of 3 peaks .* past a chromosome of hg19, first chr21:48500000"
    ):
        as_profiles(beyond)


def test_share_of_an_interval_in_another():
    old = pd.DataFrame({"chrom": ["c", "c", "d"], "start": [0, 100, 0], "end": [100, 200, 100]})
    new = pd.DataFrame({"chrom": ["c", "c", "d", "e"], "start": [50, 120, 300, 0], "end": [150, 140, 400, 9]})
    expected = [[0.5, 0, 0, 0], [0.5, 0.2, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(carry_over(old, new).toarray(), expected, rtol=1e-6)


def test_on_the_peaks_of_cells():
    peaks = pd.DataFrame({"chrom": ["1", "chr2", "chr9"], "start": [1250, 0, 0], "end": [2500, 500, 9]})
    placed = as_profiles(bulk()).on_peaks(peaks, "GRCh37")
    assert placed.peaks["start"].tolist() == [1250, 0]  # chr9 has no signal
    assert placed.signal.toarray().tolist() == [[2, 1], [2, 2]]
    with pytest.raises(AssemblyError, match="profiles are on hg19, the peaks on hg38"):
        as_profiles(bulk()).on_peaks(peaks, "hg38")
    with pytest.raises(InputError, match="None of the 1 peaks overlaps"):
        as_profiles(bulk()).on_peaks(peaks.iloc[2:], None)


@pytest.fixture
def folder(tmp_path):
    """CD4 T (narrowPeak), NK (gzipped BED of three columns)."""
    peak = "chr1\t1000\t1500\tp\t0\t.\t7.5\t3\t2\t250\nchr1\t1600\t2400\tq\t0\t.\t2\t3\t2\t250\n"
    (tmp_path / "CD4 T.narrowPeak").write_text(peak)
    with gzip.open(tmp_path / "NK.bed.gz", "wt") as file:
        file.write("track name=NK\nchr1\t1010\t1400\n1\t900000\t900400\n")
    return tmp_path


def test_a_folder_of_peak_files(folder):
    profiles = read_profiles(folder, genome="hg38")
    assert profiles.names == ["CD4 T", "NK"]
    found = {
        (chrom, start): column
        for chrom, start, column in zip(
            profiles.peaks["chrom"],
            profiles.peaks["start"],
            profiles.signal.toarray().T.tolist(),
            strict=True,
        )
    }
    # 1600-2400 covers 400 bp each of the bins 1500-2000 and 2000-2500
    assert found == {
        ("chr1", 1000): [7.5, 1],
        ("chr1", 1500): [2, 0],
        ("chr1", 2000): [2, 0],
        ("chr1", 900000): [0, 1],
    }


def test_bad_folders(folder, tmp_path):
    with pytest.raises(ConfigError, match="assembly of the profiles is not stated"):
        read_profiles(folder)
    (folder / "NK.narrowPeak").write_text("chr1\t1\t900\n")
    with pytest.raises(LabelError, match="first 'NK'"):
        read_profiles(folder, genome="hg38")
    (folder / "NK.narrowPeak").write_text("chr1\t1\t900\nchr1\t900\t1\n")
    with pytest.raises(InputError, match=r"NK.narrowPeak, line 2: start 900, end 1"):
        read_profiles(folder, genome="hg38")
    (folder / "NK.narrowPeak").write_text("#\n")
    with pytest.raises(InputError, match="holds no peak"):
        read_profiles(folder, genome="hg38")
    (folder / "B.bw").write_text("")
    with pytest.raises(ConfigError, match="whose units differ"):
        read_profiles(folder, genome="hg38")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no profile"):
        read_profiles(empty)
    (empty / "B.bw").write_text("")
    with pytest.raises(ConfigError, match="name the peaks to measure them in"):
        read_profiles(empty, genome="hg38")


def test_big_wig_files(tmp_path):
    big_wig = pytest.importorskip("pyBigWig")
    with big_wig.open(str(tmp_path / "Mono.bw"), "w") as file:
        file.addHeader([("1", 10_000)])
        file.addEntries(["1", "1"], [0, 500], ends=[100, 600], values=[2.0, 5.0])
    peaks = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 400], "end": [100, 600]})
    profiles = read_profiles(tmp_path, genome="hg38", peaks=peaks)
    assert profiles.signal.toarray().tolist() == [[2, 5]]  # the mean of what is covered


@pytest.mark.dataset("dnase_164_bulk", "hema_bulk16", "calderon2019_bulk")
def test_shared_data_sets():
    for name, n_types, n_peaks in (("dnase_164_bulk", 164, 722_691), ("hema_bulk16", 16, 451_283)):
        profiles = as_profiles(datasets.load_profiles(name))
        assert (len(profiles.names), len(profiles.peaks)) == (n_types, n_peaks)
    with pytest.raises(LabelError, match="more than one profile"):
        as_profiles(datasets.load_profiles("calderon2019_bulk"))
    assert len(as_profiles(datasets.load_profiles("calderon2019_bulk"), merge=True).names) < 33
    with pytest.raises(InputError, match=r"holds no bulk profiles; these do: .*hema_bulk16"):
        datasets.load_profiles("hg19_genes")
