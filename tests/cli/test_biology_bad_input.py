"""What goes wrong on the way from labels to biology: a clear error and nothing written, or a warning that says it.

The files are made here: 86 cells of three types (one of 6 cells) over 300 peaks of one chromosome, its sequence, four
motifs, genes, sites and fragments. In the commands below ``o/`` is the empty folder of outputs.
"""

from __future__ import annotations

import gzip
import shlex

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

pytest.importorskip("matplotlib").use("Agg")

TYPES, N_CELLS = ("B/1", "NK 2", "T"), (40, 40, 6)
N_PEAKS, WIDTH = 300, 300


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of small files, good and bad."""
    folder = tmp_path_factory.mktemp("biology")
    random = np.random.default_rng(0)
    labels = np.repeat(TYPES, N_CELLS)
    counts = random.poisson(0.5, (len(labels), N_PEAKS))
    bases = random.integers(0, 4, (N_PEAKS, WIDTH))
    words = random.integers(0, 4, (4, 10))
    meme = ["MEME version 4", "ALPHABET= ACGT"]
    for i, word in enumerate(words):
        meme += [f"MOTIF M{i}.1 factor{i}", "letter-probability matrix: alength= 4 w= 10 nsites= 50"]
        meme += [" ".join("0.94" if b == base else "0.02" for base in range(4)) for b in word]
    for i in range(3):
        rows, peaks = np.flatnonzero(labels == TYPES[i]), np.arange(80 * i, 80 * i + 80)
        counts[np.ix_(rows, peaks)] += random.poisson(1.5, (len(rows), 80))
        bases[peaks[:60], 100:110] = words[i]
    text = "".join(np.array(list("ACGT"))[bases.ravel()])
    sequence = "\n".join(text[i : i + 80] for i in range(0, len(text), 80)) + "\n"
    names = [f"AAAC{i:04d}-1" for i in range(len(labels))]
    write_cells(folder, labels, counts, names)
    write_fragments(folder, counts, names, random)
    contents = {
        "m.meme": "\n".join(meme) + "\n",
        "empty.meme": "MEME version 4\nALPHABET= ACGT\n",
        "g.fa": f">chr1\n{sequence}",
        "contigs.fa": f">contig_1\n{sequence}",
        "short.fa": f">chr1\n{sequence[:30_000]}\n",
        "no.fa": "hello\n",
        "genes.bed": "".join(f"chr1\t{5000 * i}\t{5000 * i + 3000}\tGENE{i}\t0\t+\n" for i in range(18)),
        "nogenes.bed": "# none\n",
        "sites.bed": "".join(f"chr1\t{300 * i + 100}\t{300 * i + 110}\tm\t0\t+\n" for i in range(60)),
        "sites9.bed": "chr9\t3000\t3010\n",
        "badsites.bed": "chr1\t3000\t3010\nchr1\tx\t8\n",
        "sizes.tsv": "chr1\t123456\n",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    (folder / "zipped.fa.gz").write_bytes(gzip.compress(contents["g.fa"].encode()))
    return folder


def write_cells(folder, labels, counts, names):
    obs = pd.DataFrame({"annatac_label": labels, "donor": np.resize(["d1", "d2", "d3", "d4"], len(labels))})
    obs["group"] = np.resize(["ctrl", "case"], len(labels))
    var = pd.DataFrame(index=[f"chr1:{i * WIDTH}-{i * WIDTH + WIDTH}" for i in range(N_PEAKS)])
    cells = ad.AnnData(sp.csr_matrix(counts.astype(np.int32)), obs=obs.set_axis(names), var=var)
    cells.write_h5ad(folder / "cells.h5ad")
    nowhere = cells.copy()
    nowhere.var_names = [f"feature{i}" for i in range(N_PEAKS)]
    nowhere.write_h5ad(folder / "nowhere.h5ad")
    stated = cells.copy()
    stated.uns["genome"] = "hg38"
    stated.write_h5ad(folder / "hg38.h5ad")
    cells.obs["sample"] = np.resize(["s1", "s2"], len(names))
    cells.obs_names = [f"s{1 + i % 2}:AAAC{i // 2:04d}-1" for i in range(len(names))]
    cells.write_h5ad(folder / "samples.h5ad")


def write_fragments(folder, counts, names, random):
    cell, peak = np.nonzero(counts)
    start = np.sort(peak * WIDTH + random.integers(0, 200, len(peak)))
    cell = random.permutation(cell)

    def write(name, rename, chrom="chr1"):
        lines = (f"{chrom}\t{a}\t{a + 80}\t{rename(names[c])}\t1\n" for a, c in zip(start, cell, strict=True))
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))

    write("fragments.tsv.gz", str)
    write("plain.tsv.gz", lambda name: name.removesuffix("-1"))
    write("foreign.tsv.gz", lambda name: name.replace("AAAC", "TTTG"))
    write("half.tsv.gz", lambda name: name if int(name[7]) % 2 else name.replace("AAAC", "TTTG"))
    write("chr9.tsv.gz", str, chrom="chr9")
    (folder / "cut.tsv").write_text("chr1\t100\n")


@pytest.fixture
def call(run, files, outputs, annotated, model, inputs, monkeypatch):
    """``call("markers cells.h5ad -o o/m.csv")``: run it in the folder of files; OUT, MODEL and QUERY are known."""
    monkeypatch.chdir(files)
    known = {"OUT": annotated, "MODEL": model, "QUERY": inputs / "query.h5ad"}

    def run_line(line):
        words = [str(known.get(word, word)) for word in shlex.split(line)]
        return run(*(word if not word.startswith("o/") else outputs / word[2:] for word in words))

    return run_line


TRACKS = "tracks cells.h5ad --fragments fragments.tsv.gz"
PRINTS = "footprints cells.h5ad --fragments fragments.tsv.gz -o o/f.csv"
MOTIFS = "motifs cells.h5ad -o o/m --motifs m.meme"
ORDER = 'trajectory OUT -o o/t.h5ad --groupby cell_type --order "type 1" --order "type 2"'
CONDITIONS = "conditions cells.h5ad -o o/c.csv --condition-key group --sample-key donor"
QC = "qc cells.h5ad -o o/q.h5ad"

REFUSED = [
    # markers
    (
        "markers nowhere.h5ad -o o/m.csv --bed o/m.bed",
        "no coordinates.*'feature0'.*BED file cannot be written",
    ),
    ("markers nowhere.h5ad -o o/m.csv --gtf genes.bed", "no coordinates.*no nearest gene"),
    ("markers cells.h5ad -o o/m.csv --volcano o/v.png --type NK2", "No.* type 'NK2'.*Did you mean 'NK 2'"),
    ("markers cells.h5ad -o o/m.csv --volcano o/v.png --type T", "No markers of a type 'T'.*too few cells"),
    ("markers cells.h5ad -o o/m.csv --type T", "give --volcano"),
    ("markers cells.h5ad -o o/m.csv --heatmap o/h.xyz", r"'\.xyz' is no kind of picture.*\.png"),
    ("markers cells.h5ad -o o/m.csv --donor-key donr", "no column 'donr'.*Did you mean 'donor'"),
    ("markers cells.h5ad -o o/m.csv --weigh", "annatac_probabilities.*Annotate the cells"),
    ("markers cells.h5ad -o o/m.csv --gtf nogenes.bed", "nogenes.bed holds no gene"),
    # elements
    ("elements nowhere.h5ad -o o/e.csv --gtf genes.bed", "no coordinates.*place among genes"),
    ("elements cells.h5ad -o o/e.csv --gtf genes.bed --plot o/e", "no ending"),
    ("elements cells.h5ad -o o/e.csv --gtf genes.bed --groupby doner", "Did you mean 'donor'"),
    # motifs
    (MOTIFS, "sequence of the peaks.*--fasta"),
    (f"{MOTIFS} --fasta none.fa", "none.fa does not exist"),
    (f"{MOTIFS} --fasta no.fa", "no FASTA that can be indexed"),
    (f"{MOTIFS} --fasta zipped.fa.gz", "bgzip"),
    (f"{MOTIFS} --fasta contigs.fa", "None of the 300 features lies on a sequence.*'chr1'.*'contig_1'"),
    (f"{MOTIFS} --fasta short.fa", "past the end of their chromosome.*29,"),
    (f"{MOTIFS} --fasta g.fa --genome hg38", "not of hg38: chr1 has 90,000 bp, 248,956,422 are expected"),
    ("motifs hg38.h5ad -o o/m --motifs m.meme --fasta g.fa", "not of hg38"),
    (f"{MOTIFS} --fasta g.fa --genome sizes.tsv", "chr1 has 90,000 bp, 123,456 are expected"),
    (f"{MOTIFS} --fasta g.fa --genome hg39", "'hg39' is unknown. Did you mean 'hg38'"),
    (f"{MOTIFS} --fasta g.fa --names factr1", "no motif 'factr1' among 4. Did you mean 'factor1'"),
    ("motifs cells.h5ad -o o/m --fasta g.fa --motifs empty.meme", "empty.meme holds no motif"),
    ("motifs nowhere.h5ad -o o/m --fasta g.fa --motifs m.meme", "no coordinates, so they have no sequence"),
    # footprints
    (PRINTS, "--sites FILE.bed, or .* --motif"),
    (f"{PRINTS} --sites none.bed", "none.bed does not exist"),
    (f"{PRINTS} --sites badsites.bed", "line 2: .* is no site"),
    (f"{PRINTS} --sites sites9.bed", "No insertion of the cells lies within 250 bp.*on chr9"),
    (f"{PRINTS} --sites sites.bed --fasta short.fa", "features lie past the end of their chromosome"),
    (f"{PRINTS} --sites sites.bed --fasta contigs.fa", "None of the sites' chromosomes .chr1. is in"),
    (f"{PRINTS} --sites sites.bed --fasta g.fa --genome hg38", "not of hg38"),
    (f"{PRINTS} --sites sites.bed --normalise divide", "--normalise divide .* give --fasta"),
    (f"{PRINTS} --sites sites.bed --type NK2", "Did you mean 'NK 2'"),
    (f"{PRINTS} --sites sites.bed --type T", r"No type .* has 10 cells; there are: 'T' \(6\)"),
    (f"{PRINTS} --sites sites.bed --plot o/f.xyz", "no kind of picture"),
    (f"{PRINTS} --motif factor1 --motifs m.meme", "sequence of the peaks: give --fasta"),
    (f"{PRINTS} --motif factr1 --motifs m.meme --fasta g.fa", "Did you mean 'factor1'"),
    # fragments: qc
    (f"{QC} --fragments none.tsv", "none.tsv does not exist"),
    (f"{QC} --fragments cut.tsv", "line 1: 2 columns found, 4 or 5 expected"),
    (f"{QC} --fragments foreign.tsv.gz", "None of the 86 barcodes .* 'TTTG.* cells are like 'AAAC"),
    (f"{QC} --fragments fragments.tsv.gz --sizes-plot o/s.xyz", "no kind of picture"),
    (f"{QC} --fragments fragments.tsv.gz --tss-plot o/s.png", "needs genes.*--gtf"),
    (f"{QC} --fragments chr9.tsv.gz --gtf genes.bed", "No insertion lies near a start site.*on chr1"),
    ("qc samples.h5ad -o o/q.h5ad --fragments fragments.tsv.gz", "--fragments SAMPLE=FILE, again for each"),
    (
        "qc samples.h5ad -o o/q.h5ad --fragments s1=plain.tsv.gz --fragments s3=half.tsv.gz",
        "No cell belongs to the sample 's3'. .*s1, s2",
    ),
    # tracks
    (TRACKS, "Name a region to draw .*--bigwig"),
    (f"{TRACKS} --region chr1:100-9000", "Where shall chr1:100-9000 go"),
    (f"{TRACKS} -o o/t.png", "name it with --region"),
    (f"{TRACKS} --region GENE3 -o o/t.png", "To name a gene, give the genes too: --gtf"),
    (
        f"{TRACKS} --region GENE33 --gtf genes.bed -o o/t.png",
        "No gene is called 'GENE33'. Did you mean 'GENE",
    ),
    (f"{TRACKS} --region chr1:9000-100 -o o/t.png", "ends before it begins"),
    (f"{TRACKS} --region chr1:100-9000 --table o/t.csv -o o/t.xyz", "no kind of picture"),
    (f"{TRACKS} --bedgraph o/b --genome hg39", "Did you mean 'hg38'"),
    # conditions
    (CONDITIONS, "0 samples with 100 cells.*--min-cells"),
    (f"{CONDITIONS} --type NK2", "Did you mean 'NK 2'"),
    (f"{CONDITIONS} --type T", "0 samples with 10 cells of 'T'"),
    (f"{CONDITIONS} --compare ctrl cse", "Did you mean 'case'"),
    (f"{CONDITIONS} --min-cells 5 --plot o/c.xyz", "no kind of picture"),
    (
        "conditions cells.h5ad -o o/c.csv --condition-key donor --sample-key group",
        "each sample must have one",
    ),
    # pseudobulk
    ("pseudobulk cells.h5ad -o o/b --sample-key donr", "Did you mean 'donor'"),
    (
        "pseudobulk cells.h5ad -o o/b --sample-key donor --min-cells 100",
        "No type has 100 cells in any sample",
    ),
    ("pseudobulk cells.h5ad -o o/b --min-share 4", "more than 0 and at most 1"),
    ("pseudobulk cells.h5ad -o o/b --bedgraph --fragments foreign.tsv.gz", "None of the 86 barcodes"),
    # trajectory
    (f'{ORDER} --order "tipe 3"', "No cell has 'tipe 3'.*Did you mean 'type 3'"),
    (f"{ORDER} --plot o/p.png --csv o/p.csv", "X_umap.*is missing.*`annatac embed`"),
    (f"{ORDER} --obsm motifs --csv o/p.csv", r"obsm\['motifs'\] is missing"),
    (f"{ORDER} --heatmap o/p.xyz --csv o/p.csv", "no kind of picture"),
    ("trajectory QUERY -o o/t.h5ad --groupby cell_type --order a --order b", "`annatac annotate`"),
    ("trajectory OUT -o o/t.h5ad --root nobody", "neither a cell nor a type"),
    # explain
    ("explain OUT --model nomodel --csv o/x.csv", "No model at nomodel.*annatac finetune"),
    (
        "explain cells.h5ad --model MODEL --csv o/x.csv",
        "None of the query's 300 peaks overlaps.*'chr1:0-300'",
    ),
    ("explain nowhere.h5ad --model MODEL --csv o/x.csv", "'feature0'.*with coordinates"),
    ('explain OUT --model MODEL --type "tipe 1"', "no type 'tipe 1'.*Did you mean 'type 1'"),
    ("explain OUT --model MODEL --plot o/x.xyz --csv o/x.csv", "no kind of picture"),
    # embed, plot, report
    ("embed QUERY -o o/e.h5ad", "X_annatac.*is missing.*`annatac annotate`"),
    ("embed OUT -o o/e.h5ad --n-neighbors 5000", "--n-neighbors is 5000, for 120 cells"),
    ("plot umap OUT -o o/u.png", "X_umap.*`annatac embed`"),
    ("plot umap QUERY -o o/u.png", "no column 'annatac_label'.*`annatac annotate` writes it"),
    ("plot confusion OUT -o o/c.png --truth cell_typ", "Did you mean 'cell_type'"),
    ("plot sankey QUERY -o o/s.png --truth cell_type", "not annotated.*annatac annotate"),
    ("plot training OUT -o o/t.png", "is no run log. Give a model folder"),
    ("report QUERY -o o/r.html", "not annotated.*annatac annotate"),
    ("report OUT -o o/r.pdf", r"ends in \.html"),
    ("report OUT -o o/r.html --markers none.csv", "no marker table none.csv.*annatac markers"),
    ("report OUT -o o/r.html --markers genes.bed", "no column cell_type"),
    ("report OUT -o o/r.html --model nomodel", "No model at nomodel"),
    ("report OUT -o o/r.html --by dnor", "Did you mean 'donor'"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[line for line, _ in REFUSED])
def test_refused(call, outputs, line, words):
    """Exit code 2, one error that says what to do, nothing written and nothing on standard output."""
    if "motif" in line or ".fa" in line:
        pytest.importorskip("pyfaidx")
    if line.startswith("report"):
        pytest.importorskip("jinja2")
    done = call(line)
    assert done.code == 2, done
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err
    message = done.err[done.err.index("error: ") :].replace("\n", " ")
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(message)
    assert list(outputs.iterdir()) == []
    assert done.out == ""


SMALL = r"1 of 3 groups in obs\['annatac_label'\] have under 10 cells and are left out: 'T' \(6\)"
WARNED = [
    ("markers cells.h5ad -o o/m.csv", SMALL),
    ("markers nowhere.h5ad -o o/m.csv", SMALL),
    ("markers cells.h5ad -o o/m.csv --heatmap o/h.png --fold 30", "No peak is a marker.*h.png is not drawn"),
    ("elements cells.h5ad -o o/e.csv --gtf genes.bed", SMALL),
    ("pseudobulk nowhere.h5ad -o o/b", f"{SMALL}.*no coordinates.*no BED is written"),
    (f"{PRINTS} --sites sites.bed", f"{SMALL}.*Without a FASTA"),
    (f"{QC} --fragments plain.tsv.gz", "without the suffix such as '-1'; 100.0% of its .* belong to cells"),
    (f"{QC} --fragments half.tsv.gz", r"4\d of the 86 cells have no fragment in it; .*% of its"),
    (
        f"{TRACKS} --region chr9:100-9000 -o o/t.png",
        "No fragment of the cells lies in chr9.*they are on chr1",
    ),
    (
        "tracks cells.h5ad --fragments half.tsv.gz --region chr1:0-9000 --table o/t.csv",
        "have no fragment in it",
    ),
    (
        "footprints cells.h5ad --fragments half.tsv.gz -o o/f.csv --sites sites.bed",
        r"4\d of the 86 cells have no fragment in it",
    ),
    (
        "qc samples.h5ad -o o/q.h5ad --fragments s1=fragments.tsv.gz",
        r"43 of the 86 cells \(sample 's2'\) .*without the sample in front",
    ),
    (
        'trajectory OUT -o o/t.h5ad --order "type 1" --order "type 2" --heatmap o/h.png --fdr 0',
        "is not drawn",
    ),
]


@pytest.mark.parametrize(("line", "words"), WARNED, ids=[line for line, _ in WARNED])
def test_warned(call, outputs, line, words):
    """Exit code 0, and what was left out or matched otherwise is said; files that were not drawn are not listed."""
    done = call(line)
    assert done.code == 0, done
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(done.err.replace("\n", " "))
    written = {path.name for path in outputs.iterdir()}
    assert written
    assert all(name in done.out for name in written)
    assert ("h.png" in done.out) == ("h.png" in written)


def test_footprints_around_a_motif(call, outputs):
    """Sites come from the motif, are found in the peaks, and carry its name."""
    pytest.importorskip("pyfaidx")
    done = call(f"{PRINTS} --motif factor1 --motif M0.1 --motifs m.meme --fasta g.fa")
    assert done.code == 0, done.err
    table = pd.read_csv(outputs / "f.csv")
    assert set(table["motif"]) == {"factor0", "factor1"}
    assert table.groupby("motif")["n_sites"].first().ge(55).all()
