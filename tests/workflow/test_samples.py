"""The table of samples and the settings: what is read, and one clear message for each mistake."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from scripts.programs import ProgramError, check_programs
from scripts.reads import ReadsError, check_fastqs, name_reads, roles_of
from scripts.samples import Sample, SheetError, read_samples
from scripts.settings import SettingsError, read_settings


def sheet(folder: Path, *lines: str) -> Path:
    path = folder / "samples.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


# ------------------------------------------------------------------------------------------- table


def test_samples_in_the_order_of_the_table(tmp_path):
    path = tmp_path / "samples.tsv"
    text = "﻿sample\tsra\tfastqs\tprefix\r\n# a note\r\na\tSRR12,ERR3\r\n\r\nb\t\t/x, /y\tb1,b2\r\n"
    path.write_text(text, encoding="utf-8")
    a, b = read_samples(path)
    assert (a.name, a.fastqs, a.prefixes, a.runs) == ("a", [], ["SRR12", "ERR3"], ["SRR12", "ERR3"])
    assert (b.name, b.fastqs, b.prefixes, b.runs) == ("b", ["/x", "/y"], ["b1", "b2"], [])
    assert b.place == f"{path}, line 5"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"samples\.tsv is empty. It needs a first line with 'sample'"),
        (["sample\tsra"], "names no sample"),
        (["sample,sra", "a,SRR1"], "must be separated by tabs"),
        (["sample\tsra\ttissue", "a\tSRR1\tlung"], "unknown column 'tissue'. Known are: sample, fastqs"),
        (["sample\tfastq", "a\tx"], "unknown column 'fastq'. Did you mean 'fastqs'"),
        (["sra", "SRR1"], r"has no column 'sample' \(it has sra\)"),
        (["sample\tprefix", "a\tb"], "neither a column 'fastqs' nor 'sra'"),
        (["sample\tsra\tsra", "a\tSRR1"], "two columns 'sra'"),
        (["sample\tsra", "a\tSRR1\tx"], "line 2 has 3 columns, the first line 2"),
        (["sample\tsra", "a/b\tSRR1"], r"line 2: 'a/b' cannot be the name.*letters, digits, - and _"),
        (["sample\tsra", "\tSRR1"], "'' cannot be the name"),
        (["sample\tsra", "a\tSRR1", "A\tSRR2"], r"line 3: sample 'A' is there already \(.*line 2\)"),
        (["sample\tsra", "a\tSRR1", "b\tSRR2,SRR1"], r"'b' has the reads of 'a' \(SRR1\)"),
        (["sample\tsra", "a\tSRR1,SRR1"], "names a run twice"),
        (["sample\tfastqs", "a\t/x", "b\t/x/"], r"'b' has the reads of 'a' \(/x\)"),
        (["sample\tsra\tfastqs", "a\tSRR1\t/x"], "has both fastqs and sra"),
        (["sample\tsra\tfastqs", "a"], "has neither fastqs nor sra"),
        (["sample\tsra\tprefix", "a\tSRR1\tx"], "has a prefix, which is for FASTQ folders"),
        (["sample\tsra", "a\tGSM123"], "'GSM123' is no accession of a run.*SRA Run Selector"),
    ],
)
def test_a_wrong_table(tmp_path, lines, message):
    with pytest.raises(SheetError, match=message) as caught:
        read_samples(sheet(tmp_path, *lines))
    assert str(caught.value).count("\n") == 0


def test_samples_of_one_folder_differ_by_prefix(tmp_path):
    path = sheet(tmp_path, "sample\tfastqs\tprefix", "a\t/x\tlib1", "b\t/x\tlib2")
    assert [sample.prefixes for sample in read_samples(path)] == [["lib1"], ["lib2"]]


def test_no_table(tmp_path):
    with pytest.raises(SheetError, match=r"none.tsv, the table of samples, cannot be read: No such file"):
        read_samples(tmp_path / "none.tsv")
    (tmp_path / "x.tsv").write_bytes(b"\xff\xfe\x00s")
    with pytest.raises(SheetError, match="no text in UTF-8"):
        read_samples(tmp_path / "x.tsv")


# ------------------------------------------------------------------------------------------- reads


def fastqs(folder: Path, *names: str) -> Sample:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return Sample("x", fastqs=[str(folder)], place="samples.tsv, line 2")


def lane(name: str, reads: str = "I1 R1 R2 R3", number: int = 1) -> list[str]:
    return [f"{name}_S1_L00{number}_{read}_001.fastq.gz" for read in reads.split()]


@pytest.mark.parametrize("reads", ["R1 R2 R3", "I1 R1 R2 R3", "R1 R2 I1 I2"])
def test_what_the_files_begin_with_is_found(tmp_path, reads):
    sample = fastqs(tmp_path, *(f"run/p_S2/{file}" for file in lane("p_S2", reads)), *lane("p_S2", reads, 2))
    check_fastqs(sample)
    assert sample.prefixes == ["p_S2"]


def test_one_of_several_samples_of_a_folder(tmp_path):
    sample = fastqs(tmp_path, *lane("a"), *lane("b", "R1"))
    with pytest.raises(ReadsError, match=r"are of several samples \(a, b\). Name .* 'prefix'"):
        check_fastqs(sample)
    sample.prefixes = ["a"]
    check_fastqs(sample)
    sample.prefixes = ["c"]
    with pytest.raises(ReadsError, match=r"no FASTQ file of 'x' begins with 'c'. They begin with a, b"):
        check_fastqs(sample)
    sample.prefixes = ["b"]
    with pytest.raises(ReadsError, match=r"lane 001 of b in .* has R1. R1, R2 and R3 are needed"):
        check_fastqs(sample)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no FASTQ file"),
        (["notes.txt"], "holds no FASTQ file"),
        (
            ["SRR1_1.fastq.gz"],
            r"SRR1_1.fastq.gz is not named as Cell Ranger wants it: NAME_S1_L001_R1_001.fastq.gz",
        ),
        (["a_S1_L001_R1_001.fq.gz"], "is not named as Cell Ranger wants it"),
        (lane("a", "R1 R2"), "has R1, R2. R1, R2 and R3 are needed"),
    ],
)
def test_wrong_fastq_files(tmp_path, names, message):
    (tmp_path / "f").mkdir()
    with pytest.raises(ReadsError, match=message) as caught:
        check_fastqs(fastqs(tmp_path / "f", *names))
    assert str(caught.value).startswith("samples.tsv, line 2: ")


def test_no_folder(tmp_path):
    with pytest.raises(ReadsError, match=r"there is no folder .*none"):
        check_fastqs(Sample("x", fastqs=[str(tmp_path / "none")]))


@pytest.mark.parametrize(
    ("lengths", "roles"),
    [
        ([50, 16, 49], ["R1", "R2", "R3"]),
        ([8, 50, 16, 50], ["I1", "R1", "R2", "R3"]),
        ([50, 50, 8, 24], ["R1", "R3", "I1", "R2"]),
    ],
)
def test_lengths_tell_what_a_read_is(lengths, roles):
    files = [Path(f"SRR1_{i}.fastq") for i in range(len(lengths))]
    assert roles_of(dict(zip(files, lengths, strict=True)), "SRR1") == dict(zip(files, roles, strict=True))


@pytest.mark.parametrize("lengths", [[50, 50], [50, 16], [28, 91], [], [50, 16, 16, 50]])
def test_a_run_of_another_kind(lengths):
    files = [Path(f"SRR1_{i + 1}.fastq") for i in range(len(lengths))]
    with pytest.raises(ReadsError, match="not those of a Chromium ATAC library") as caught:
        roles_of(dict(zip(files, lengths, strict=True)), "SRR1")
    assert ("SRR1_1.fastq 50" in str(caught.value)) == (lengths[:1] == [50])


def test_reads_are_compressed_under_their_names(tmp_path):
    for number, n in ((1, 8), (2, 30), (3, 16), (4, 31)):
        (tmp_path / f"SRR1_{number}.fastq").write_text(f"@r\n{'A' * n}\n+\n{'#' * n}\n")
    name_reads("SRR1", tmp_path, tmp_path / "out")
    found = {}
    for path in (tmp_path / "out").iterdir():
        with gzip.open(path, "rt") as file:
            found[path.name] = len(file.read().splitlines()[1])
    assert found == {
        f"SRR1_S1_L001_{read}_001.fastq.gz": n for read, n in (("I1", 8), ("R1", 30), ("R2", 16), ("R3", 31))
    }
    assert not list(tmp_path.glob("*.fastq")), "no space is taken twice"
    check_fastqs(sample := Sample("x", fastqs=[str(tmp_path / "out")]))
    assert sample.prefixes == ["SRR1"]


# ---------------------------------------------------------------------------- settings and programs


def test_settings_have_defaults(tmp_path):
    settings = read_settings({"reference": str(tmp_path), "genome": "hg38", "programs": {"annatac": "/x"}})
    assert (settings.output, settings.corpus, settings.model) == ("results", True, None)
    assert settings.programs == {
        "annatac": "/x",
        "cellranger-atac": "cellranger-atac",
        "fasterq-dump": "fasterq-dump",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genome": None}, "says no 'genome': give the assembly of the reference"),
        ({"reference": ""}, "says no 'reference': give the folder of Cell Ranger's reference"),
        ({"reference": "/none"}, "There is no folder /none"),
        ({"modle": "m"}, "unknown setting 'modle'. Did you mean 'model'"),
        ({"programs": {"cellranger": "x"}}, "unknown program 'cellranger'. Did you mean 'cellranger-atac'"),
        ({"corpus": "maybe"}, "'corpus' of config.yaml is 'maybe'; true or false is expected"),
        ({"model": 3}, "'model' of config.yaml is 3; text is expected"),
    ],
)
def test_wrong_settings(tmp_path, change, message):
    with pytest.raises(SettingsError, match=message):
        read_settings({"reference": str(tmp_path), "genome": "hg38"} | change)


def test_programs_are_named_with_where_to_get_them(tmp_path):
    (tmp_path / "good").write_text("#!/bin/sh\necho\necho good-2.1\n")
    (tmp_path / "bad").write_text("#!/bin/sh\nexit 3\n")
    for name in ("good", "bad"):
        (tmp_path / name).chmod(0o755)
    paths = {
        "annatac": str(tmp_path / "good"),
        "cellranger-atac": "no-such",
        "fasterq-dump": str(tmp_path / "bad"),
    }
    assert check_programs(["annatac"], paths) == {"annatac": "good-2.1"}
    with pytest.raises(ProgramError) as caught:
        check_programs(paths, paths)
    message = str(caught.value)
    assert (
        "no-such is not on the PATH. It belongs to Cell Ranger ATAC 2.0 or later: https://www.10x" in message
    )
    assert "bad does not run" in message
    assert "SRA Toolkit 3.0 or later: https://github.com/ncbi/sra-tools" in message
