from __future__ import annotations

import gzip

import pytest

from annatac import genome
from annatac.errors import ConfigError, InputError, MissingFileError
from annatac.genome import KNOWN, canonical, chrom_lengths, genome_label, is_standard, to_ucsc
from annatac.genome.chroms import sort_key, species_prefixes


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("hg38", "hg38"),
        ("GRCh38.p13", "hg38"),
        ("refdata-cellranger-arc-GRCh38-2020-A-2.0.0", "hg38"),
        ("hg19", "hg19"),
        ("b37", "hg19"),
        ("hs37d5", "hg19"),
        ("GRCm38.p6", "mm10"),
        ("refdata-cellranger-atac-mm10-1.2.0", "mm10"),
        ("GRCm39", "mm39"),
        ("Rnor_6.0", "rn6"),
        ("mRatBN7.2", "rn7"),
    ],
)
def test_spellings(name, short):
    assert canonical(name) == short
    assert genome_label(name) == short


def test_unknown_names():
    with pytest.raises(ConfigError, match=r"'hg83' is unknown\. Did you mean 'hg38'"):
        canonical("hg83")
    with pytest.raises(ConfigError, match="names 2 assemblies"):
        canonical("GRCh38_and_mm10")
    with pytest.raises(MissingFileError, match=r"danRer11\.chrom\.sizes does not exist"):
        canonical("danRer11.chrom.sizes")
    assert genome_label("somewhere/danRer11.chrom.sizes") == "danRer11"


@pytest.mark.parametrize("name", KNOWN)
def test_shipped_lengths(name):
    lengths = chrom_lengths(name)
    n_autosomes = {"h": 22, "m": 19, "r": 20}[name[0]]
    assert list(lengths) == [f"chr{i + 1}" for i in range(n_autosomes)] + ["chrX", "chrY", "chrM"]
    nuclear = sum(length for chrom, length in lengths.items() if chrom != "chrM")
    assert 2.5e9 < nuclear < 3.1e9
    assert 16_000 < lengths["chrM"] < 17_000


@pytest.mark.dataset("hg19_to_hg38_chain")
def test_human_lengths_are_those_of_the_chain(dataset_path):
    found = {}
    with gzip.open(dataset_path("hg19_to_hg38_chain"), "rt") as lines:
        for line in lines:
            if line.startswith("chain"):
                fields = line.split()
                found["hg19", fields[2]], found["hg38", fields[7]] = int(fields[3]), int(fields[8])
    for name in ("hg19", "hg38"):
        for chrom, length in chrom_lengths(name).items():
            assert found[name, chrom] == length


def test_custom_lengths(tmp_path):
    path = tmp_path / "fish.chrom.sizes"
    path.write_text("1\t500\nMT\t20\n")
    assert chrom_lengths(path) == {"chr1": 500, "chrM": 20}
    assert canonical(str(path)) == str(path)
    path.write_text("chr1\t500\nchr2\tlong\n")
    with pytest.raises(InputError, match=r"fish\.chrom\.sizes, line 2: .* is no chromosome and length"):
        chrom_lengths(path)
    path.write_text("")
    with pytest.raises(InputError, match="holds no chromosome"):
        chrom_lengths(path)


def test_naming_styles():
    assert to_ucsc(["1", "X", "MT", "chrM", "Chr2", "GL000009.2", "chrUn_1"]).tolist() == [
        *("chr1", "chrX", "chrM", "chrM", "chr2", "GL000009.2", "chrUn_1")
    ]
    assert to_ucsc([1, 22]).tolist() == ["chr1", "chr22"]
    assert to_ucsc([]).tolist() == []


def test_accessions_of_one_species_are_chromosomes():
    human = ["NC_000001.11", "NC_000022.10", "NC_000023.11", "NC_000024", "NC_012920.1", "NT_187361.1"]
    assert to_ucsc(human).tolist() == ["chr1", "chr22", "chrX", "chrY", "chrM", "NT_187361.1"]
    assert to_ucsc(["CM000663.2", "CM000685.2"]).tolist() == ["chr1", "chrX"]
    assert to_ucsc(["NC_000067.6", "NC_000085.7", "NC_000087.7"]).tolist() == ["chr1", "chr19", "chrY"]
    assert is_standard(["NC_000001.11", "NC_012920.1"]).tolist() == [True, False]
    both = ["NC_000001.11", "NC_000067.6"]
    assert to_ucsc(both).tolist() == both  # two species are never merged


def test_two_species_are_never_merged():
    assert to_ucsc(["GRCh38_chr1", "GRCh38_chrX"]).tolist() == ["chr1", "chrX"]
    both = ["GRCh38_chr1", "mm10___chr1"]
    assert to_ucsc(both).tolist() == both
    assert to_ucsc(both, prefix="GRCh38").tolist() == ["chr1", "mm10___chr1"]
    assert species_prefixes(both) == ["GRCh38", "mm10"]


def test_standard_chromosomes():
    names = [
        "1",
        "chr22",
        "X",
        "chrY",
        "chr2L",
        "MT",
        "chrM",
        "GL000009.2",
        "chr1_KI270706v1_random",
        "chrEBV",
        "",
    ]
    assert is_standard(names).tolist() == [True] * 5 + [False] * 6


def test_order_of_chromosomes():
    names = ["chrX", "chr10", "GL1", "chr2", "chrM", "chrY", "chr1"]
    assert sorted(names, key=sort_key) == ["chr1", "chr2", "chr10", "chrX", "chrY", "chrM", "GL1"]


def test_public_names_exist():
    assert all(hasattr(genome, name) for name in genome.__all__)
