from __future__ import annotations

import pytest

from annatac import datasets
from annatac.errors import ConfigError, InputError, MissingFileError


def test_stated_folder_comes_first(tmp_path, monkeypatch):
    file = tmp_path / "labelled" / "scabc_bj_tf1_chr12_hg19.h5ad"
    file.parent.mkdir()
    file.write_bytes(b"")
    monkeypatch.setenv("ANNATAC_DATA", str(tmp_path))
    assert datasets.path("scabc_bj_tf1_chr12") == file


def test_a_folder_may_hold_the_file_directly(tmp_path, monkeypatch):
    file = tmp_path / "hg38_genes.bed.gz"
    file.write_bytes(b"")
    monkeypatch.setenv("ANNATAC_DATA", str(tmp_path))
    assert datasets.path("hg38_genes") == file


def test_absent_data_set_names_every_place(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "folders", lambda: [tmp_path / "a", tmp_path / "b"])
    monkeypatch.delenv("ANNATAC_DATA", raising=False)
    with pytest.raises(MissingFileError, match="not on this machine") as caught:
        datasets.path("schep2017_lines")
    message = str(caught.value)
    assert "$ANNATAC_DATA (not set)" in message
    assert str(tmp_path / "a") in message
    assert str(tmp_path / "b") in message


def test_folders_are_the_stated_the_sibling_and_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANNATAC_DATA", str(tmp_path / "stated"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = datasets.folders()
    assert found[0] == tmp_path / "stated"
    assert found[-1] == tmp_path / "cache" / "annatac"
    assert any(folder.parts[-2:] == ("shared", "data") for folder in found)


def test_unknown_name_gives_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'granja2019_bmmc_d6t1'"):
        datasets.path("granja2019_bmmc")
    with pytest.raises(ConfigError, match="Did you mean 'granja2019_bmmc_d6t1'"):
        datasets.path("Granja")


def test_a_chain_has_no_content_to_load(tmp_path, monkeypatch):
    (tmp_path / "hg19ToHg38.over.chain.gz").write_bytes(b"")
    monkeypatch.setenv("ANNATAC_DATA", str(tmp_path))
    with pytest.raises(InputError, match="use its path"):
        datasets.load("hg19_to_hg38_chain")


def test_load_h5ad(dataset):
    cells = dataset("scabc_bj_tf1_chr12")
    assert cells.shape == (167, 1183)
    assert cells.uns["genome"] == "hg19"


def test_load_npz(dataset):
    assert len(dataset("hema_bulk16")) > 0


def test_load_fragments_and_genes(dataset):
    cells = dataset("pbsmall_fragments")
    assert cells.n_obs == 150
    assert cells.X.sum() == 2 * 29_399  # each fragment is two insertions
    genes = dataset("hg38_genes")
    assert {"chrom", "start", "end", "symbol", "strand", "tss"} <= set(genes.columns)
