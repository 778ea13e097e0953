from __future__ import annotations

import gzip

import pandas as pd
import pytest

from annatac.errors import DamagedFileError, InputError
from annatac.genome import read_genes
from annatac.genome.annotation import as_genes

GTF = """#!genome-build GRCh38
chr1\tX\tgene\t101\t200\t.\t+\t.\tgene_id "E1"; gene_name "AAA";
chr1\tX\ttranscript\t101\t200\t.\t+\t.\tgene_id "E1"; transcript_id "T1"; gene_name "AAA";
chr1\tX\ttranscript\t151\t200\t.\t+\t.\tgene_id "E1"; transcript_id "T2"; gene_name "AAA";
chr1\tX\texon\t101\t120\t.\t+\t.\tgene_id "E1"; gene_name "AAA";
chr1\tX\ttranscript\t301\t400\t.\t-\t.\tgene_id "E2"; transcript_id "T3";
"""
GFF = """##gff-version 3
1\tX\tgene\t101\t200\t.\t+\t.\tID=gene:E1;Name=AAA;biotype=protein_coding
1\tX\tgene\t301\t400\t.\t-\t.\tID=gene:E2
##FASTA
ACGT
"""


def test_gtf_takes_transcripts_strand_aware(tmp_path):
    path = tmp_path / "a.gtf.gz"
    path.write_bytes(gzip.compress(GTF.encode()))
    genes = read_genes(path)
    assert genes["tss"].tolist() == [100, 150, 399]  # start - 1 on +, end - 1 on -
    assert genes["symbol"].tolist() == ["AAA", "AAA", "E2"]
    assert genes["strand"].tolist() == ["+", "+", "-"]
    assert genes[["start", "end"]].iloc[0].tolist() == [100, 200]


def test_gff_with_genes_only(tmp_path):
    path = tmp_path / "a.gff3"
    path.write_text(GFF)
    genes = read_genes(path)
    assert genes["tss"].tolist() == [100, 399]
    assert genes["symbol"].tolist() == ["AAA", "gene:E2"]


@pytest.mark.parametrize(
    "line",
    [
        "chr1\t100\t200\tAAA\t-\n",
        "chr1\t100\t200\tAAA\t0\t-\n",
        "chrom\tstart\tend\tname\nchr1\t100\t200\tAAA\t0\t-\n",
    ],
)
def test_bed(tmp_path, line):
    path = tmp_path / "a.bed"
    path.write_text(line)
    genes = read_genes(path)
    assert genes.iloc[0].tolist() == ["chr1", 100, 200, "AAA", "-", 199]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GTF.replace("\ttranscript\t", "\texon\t").replace("\tgene\t", "\texon\t"), "holds no gene"),
        ("", "holds no gene"),
        (GTF + 'chr1\tX\tgene\tabc\t5\t.\t+\t.\tgene_id "E";\n', r"line 7: .* is no line of a GTF"),
        ("chr1\t5\t9\tA\t+\nchr1\t9\t5\tB\t+\n", "line 2"),
    ],
)
def test_files_without_genes(tmp_path, text, message):
    path = tmp_path / "a.gtf"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_genes(path)


def test_truncated(tmp_path):
    rows = "".join(f"chr1\t{i * i}\t{i * i + 5 + i % 7}\tG{i}\t+\n" for i in range(3000))
    whole = gzip.compress(rows.encode())
    (tmp_path / "a.bed.gz").write_bytes(whole[:-500])
    with pytest.raises(DamagedFileError, match="truncated"):
        read_genes(tmp_path / "a.bed.gz")


def test_tables_of_genes():
    table = pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [9], "symbol": ["A"], "strand": ["-"]})
    assert as_genes(table)["tss"].tolist() == [8]
    with pytest.raises(InputError, match="expected chrom, symbol and tss"):
        as_genes(table[["chrom", "start"]])
    with pytest.raises(InputError, match="is empty"):
        as_genes(table[:0])


@pytest.mark.dataset("hg19_genes")
def test_real_genes(dataset_path):
    genes = read_genes(dataset_path("hg19_genes"))
    assert len(genes) > 15_000
    assert (genes.loc[genes["strand"] == "-", "tss"] == genes.loc[genes["strand"] == "-", "end"] - 1).all()
