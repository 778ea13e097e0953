"""Motif files, scores, scanning, enrichment and deviations, against independent computations."""

from __future__ import annotations

import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import norm

from annatac import keys, tl
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError
from annatac.io.motif_files import Motif, read_motifs
from annatac.tl.motifs.background import background_grid, background_peaks
from annatac.tl.motifs.scores import score_table, strand_symmetric
from annatac.tl.motifs.search import Searcher
from annatac.tl.motifs.similarity import resemble
from annatac.tl.motifs.testing import stratified_test
from annatac.tl.rank_sums import false_discovery_rate

pytest.importorskip("pyfaidx")

MEME = """MEME version 4
ALPHABET= ACGT
MOTIF MA1 GATA
letter-probability matrix: alength= 4 w= 3 nsites= 10
 0.1 0.1 0.7 0.1
 1.0 0.0 0.0 0.0
 0.0 0.0 0.0 1.0

MOTIF MA2.1
letter-probability matrix: alength= 4 w= 1
 0.25 0.25 0.25 0.25
"""


def random_motif(rng, width, name, strength=0.9):
    p = np.full((width, 4), (1 - strength) / 3)
    p[np.arange(width), rng.integers(0, 4, width)] = strength
    return Motif(id=name, name=name, counts=100 * p)


def write_fasta(path, chroms):
    with path.open("w") as out:
        for name, codes in chroms.items():
            text = "".join(np.array(list("ACGTN"))[codes])
            out.write(f">{name}\n" + "\n".join(text[i : i + 60] for i in range(0, len(text), 60)) + "\n")
    return path


def peaks_at(starts, width, chrom="chr1", counts=None):
    var = pd.DataFrame(index=[f"{chrom}:{s}-{s + width}" for s in starts])
    x = sp.csr_matrix((2, len(var)), dtype=np.int32) if counts is None else counts
    return ad.AnnData(x, var=var)


def naive_sites(bases, scores, threshold):
    """Every (position, strand, score) by plain loops."""
    w, found = len(scores), set()
    for i in range(len(bases) - w + 1):
        word = bases[i : i + w]
        if 4 in word:
            continue
        for strand, table in ((1, scores), (-1, scores[::-1, ::-1])):
            total = sum(int(table[j, b]) for j, b in enumerate(word))
            if total >= threshold:
                found.add((i, strand, total))
    return found


def test_meme_file(tmp_path):
    path = tmp_path / "m.meme"
    path.write_text(MEME)
    first, second = read_motifs(path)
    assert (first.id, first.name, first.width, second.name) == ("MA1", "GATA", 3, "MA2.1")
    assert np.allclose(first.counts[0], [1, 1, 7, 1])
    assert np.allclose(second.counts, 5)  # 20 sites where none are stated
    assert [m.id for m in read_motifs(path, names=["gata", "ma2"])] == ["MA1", "MA2.1"]
    with pytest.raises(ConfigError, match=r"no motif 'GATTA' among 2. Did you mean 'GATA'"):
        read_motifs(path, names=["GATTA"])
    path.write_text(MEME.replace("w= 3", "w= 4"))
    with pytest.raises(InputError, match="'MA1' has 3 rows, w= 4 is stated"):
        read_motifs(path)
    path.write_text(MEME.replace("1.0 0.0 0.0 0.0", "1.0 0.0 0.0"))
    with pytest.raises(InputError, match=r"line 6.*Expected 4 numbers"):
        read_motifs(path)
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="holds no motif"):
        read_motifs(path)


def test_jaspar_file_and_release(tmp_path):
    path = tmp_path / "m.jaspar"
    path.write_text(">MA0001.1 X\nA [ 1 2 ]\nC [ 3 4 ]\nG [ 5 6 ]\nT [ 7 8 ]\n")
    (motif,) = read_motifs(path)
    assert motif.counts.tolist() == [[1, 3, 5, 7], [2, 4, 6, 8]]
    pytest.importorskip("pyjaspar")
    (ctcf,) = [m for m in read_motifs(names=["CTCF"]) if m.id.startswith("MA0139")]
    assert ctcf.width >= 15
    with pytest.raises(ConfigError, match="Did you mean 'JASPAR2024'"):
        read_motifs("JASPAR2O24")


def test_p_values_are_those_of_all_words():
    rng = np.random.default_rng(1)
    q = strand_symmetric([0.3, 0.15, 0.25, 0.3])
    table = score_table(Motif(id="m", name="m", counts=rng.integers(0, 30, (6, 4)).astype(float)), q)
    words = np.array(list(itertools.product(range(4), repeat=6)))
    score = table.scores[np.arange(6), words].sum(axis=1)
    chance = q[words].prod(axis=1)
    for value in np.unique(score)[::97]:
        assert table.p_value(value) == pytest.approx(chance[score >= value].sum(), rel=1e-9)
    threshold = table.threshold(0.01)
    assert chance[score >= threshold].sum() <= 0.01 + 1e-12
    assert chance[score >= threshold - 1].sum() > 0.01 or (score != threshold - 1).all()


def test_a_motif_too_short_for_the_p_value_gets_its_best_sites(tmp_path):
    bases = np.random.default_rng(11).integers(0, 4, 6000)
    fasta = write_fasta(tmp_path / "g.fa", {"chr1": bases})
    adata = peaks_at([0, 3000], 3000)
    word = [0, 1, 1, 2, 3, 0]  # 4^-6 = 2.4e-4
    short, vague = (
        Motif(id=n, name=n, counts=np.eye(4)[w] * 20 + 1e-9) for n, w in (("short", word), ("vague", [0, 3]))
    )
    with pytest.warns(AnnatacWarning) as record:
        tl.motif_scan(adata, [short, vague], fasta, background="even")
    told = [str(warning.message) for warning in record]
    assert any("1 of 2 motifs are too short" in text and "(short): their best sites" in text for text in told)
    assert any("(vague): they get no site" in text for text in told)
    hits = adata.varm[keys.MOTIF_HITS].toarray().sum(axis=0)
    text = "".join("ACGT"[b] for b in bases)
    n_sites = sum(text[i : i + 6] in ("ACCGTA", "TACGGT") for i in range(5995) if not 2995 <= i + 0 < 3000)
    assert hits.tolist() == [n_sites, 0]
    assert n_sites > 0


def test_search_finds_what_plain_loops_find():
    rng = np.random.default_rng(2)
    widths = (4, 6, 8, 9, 13, 17, 26)
    motifs = [random_motif(rng, w, f"m{w}", 0.6 if w > 12 else 0.85) for w in widths]
    q = np.full(4, 0.25)
    tables = [score_table(motif, q) for motif in motifs]
    bases = rng.integers(0, 4, 3000).astype(np.uint8)
    bases[rng.choice(3000, 25, replace=False)] = 4
    found = [set() for _ in motifs]
    for hits in Searcher(tables, 0.005).search(bases):
        for m, p, s, score in zip(hits.motif, hits.position, hits.strand, hits.score, strict=True):
            assert (p, s, score) not in found[m]
            found[m].add((int(p), int(s), int(score)))
    for table, sites in zip(tables, found, strict=True):
        assert sites == naive_sites(bases.tolist(), table.scores, table.threshold(0.005))
    assert sum(map(len, found)) > 100


Q = strand_symmetric([0.3, 0.2, 0.2, 0.3])


def test_sites_are_those_of_biopython():
    motifs = pytest.importorskip("Bio.motifs")
    rng, q = np.random.default_rng(3), Q
    counts = rng.integers(1, 50, (10, 4)).astype(float)
    table = score_table(Motif(id="m", name="m", counts=counts), q)
    text = "".join(rng.choice(list("ACGT"), 5000))
    bases = np.array(["ACGT".index(c) for c in text], dtype=np.uint8)
    matrix = motifs.Motif("ACGT", counts={b: counts[:, i] for i, b in enumerate("ACGT")}).counts
    pseudo = {b: 0.8 * q[i] for i, b in enumerate("ACGT")}
    pssm = matrix.normalize(pseudo).log_odds(dict(zip("ACGT", q, strict=True)))
    (threshold, p_value) = (table.threshold(0.002), 0.002)
    mine = {
        (int(p), int(s)): score / 100
        for hits in Searcher([table], p_value).search(bases)
        for p, s, score in zip(hits.position, hits.strand, hits.score, strict=True)
    }
    theirs = {}
    for position, score in pssm.search(text, threshold=threshold / 100 - 0.1):
        theirs[(position if position >= 0 else position + len(text), 1 if position >= 0 else -1)] = float(
            score
        )
    assert len(mine) > 5
    for site, score in mine.items():
        assert theirs[site] == pytest.approx(score, abs=0.05)  # 10 columns, each rounded to 0.01 bit
    assert all(site in mine for site, score in theirs.items() if score >= threshold / 100 + 0.05)


@pytest.mark.parametrize("p_value", [0.002, 5e-5])
def test_the_threshold_is_that_of_moods(p_value):
    tools = pytest.importorskip("MOODS.tools")
    counts = np.random.default_rng(3).integers(1, 50, (10, 4)).astype(float)
    table = score_table(Motif(id="m", name="m", counts=counts), Q)
    bits = np.log2((counts + 0.8 * Q) / (counts.sum(axis=1, keepdims=True) + 0.8) / Q)
    theirs = tools.threshold_from_p(bits.T.tolist(), Q.tolist(), p_value)
    assert table.threshold(p_value) / 100 == pytest.approx(theirs, abs=0.06)


@pytest.fixture
def planted(tmp_path):
    """600 peaks of 200 bp; the first 120 hold a site of motif m0."""
    rng = np.random.default_rng(4)
    motifs = [random_motif(rng, 10, f"m{i}") for i in range(30)]
    chrom = rng.integers(0, 4, 600 * 300 + 300)
    starts = np.arange(600) * 300 + 50
    word = motifs[0].counts.argmax(axis=1)
    for i in range(120):
        at = starts[i] + 60 + i % 70
        chrom[at : at + 10] = word if i % 2 else 3 - word[::-1]
    counts = sp.csr_matrix(rng.poisson(0.3, (60, 600)).astype(np.int32))
    counts = counts.tolil()
    counts[:30, :120] = rng.poisson(1.5, (30, 120))
    counts[30:, 120:240] = rng.poisson(1.5, (30, 120))  # as open without the motif: background peaks exist
    adata = peaks_at(starts, 200, counts=sp.csr_matrix(counts))
    adata.obs[keys.LABEL] = ["A/x"] * 30 + ["B"] * 30
    return adata, motifs, write_fasta(tmp_path / "g.fa", {"chr1": chrom}), starts, word


def test_scan_sites_enrichment_and_deviations(planted):
    adata, motifs, fasta, starts, _ = planted
    assert tl.motif_scan(adata, motifs, fasta) is None
    hits = adata.varm[keys.MOTIF_HITS]
    assert hits.shape == (600, 30)
    assert (hits[:120, 0].toarray() > 0).all()
    sites = tl.motif_sites(adata, motifs, fasta, names=["m0"])
    first = sites[sites["peak"] == 1].iloc[0]
    assert (first["start"], first["end"], first["strand"]) == (starts[1] + 61, starts[1] + 71, "+")
    assert (sites[sites["peak"] == 2]["strand"] == "-").any()
    assert (sites["p_value"] <= 5e-5).all()
    table = tl.motif_enrichment(
        adata, {"A/x": adata.var_names[:120], "few": adata.var_names[:20]}, min_peaks=20
    )
    assert table[table["is_enriched"] & (table["cell_type"] == "A/x")]["name"].tolist() == ["m0"]
    row = table.iloc[0]
    assert row["leader"] == "m0"
    assert row["log2_enrichment"] > 1.5
    tl.motif_deviations(adata, n_background=20)
    markers = tl.marker_motifs(adata)
    row = markers[(markers["cell_type"] == "A/x") & (markers["name"] == "m0")].iloc[0]
    assert (row["auc"] > 0.95, row["difference"] > 0, row["fdr"] < 0.01) == (True, True, True)


def exact_tail(observed, n_with_all, n_in, n_all):
    """P(sum of independent hypergeometrics >= observed), by convolution."""
    from scipy.stats import hypergeom

    chance = np.ones(1)
    for m, n, total in zip(n_with_all, n_in, n_all, strict=True):
        chance = np.convolve(chance, hypergeom.pmf(np.arange(int(n) + 1), int(total), int(m), int(n)))
    return chance[int(observed) :].sum()


def test_stratified_test_is_close_to_the_exact_tail():
    rng = np.random.default_rng(6)
    n_all = rng.integers(5, 60, 80).astype(float)
    n_in = np.minimum(rng.integers(1, 12, 80), n_all - 1).astype(float)
    share = np.array([0.01, 0.05, 0.2, 0.6])
    both = rng.binomial(n_all[:, None].astype(int), share).astype(float)
    for odds in (1.0, 2.0, 3.0):
        expected = both * n_in[:, None] / n_all[:, None]
        inside = np.minimum(np.minimum(rng.poisson(expected * odds), both), n_in[:, None])
        found = stratified_test(inside, both, n_in, n_all)
        for k in range(4):
            exact = exact_tail(inside[:, k].sum(), both[:, k], n_in, n_all)
            assert found.p_value[k] == pytest.approx(exact, rel=0.25, abs=1e-12)
            assert found.expected[k] == pytest.approx(expected[:, k].sum())
    # one class: Fisher's test, and the ratio of shares
    found = stratified_test(np.array([[12.0]]), np.array([[30.0]]), np.array([40.0]), np.array([240.0]))
    from scipy.stats import fisher_exact

    assert found.p_value[0] == pytest.approx(fisher_exact([[12, 28], [18, 182]], "greater")[1], rel=0.4)
    ratio = (12 * 200 / 240 + 0.5) / (18 * 40 / 240 + 0.5)
    assert found.log2_ratio[0] == pytest.approx(np.log2(ratio))


def test_the_ratio_that_is_tested_against():
    """Where risks differ by just that ratio p-values are near uniform (whole numbers: above, not below)."""
    rng = np.random.default_rng(10)
    n_all = rng.integers(6, 40, 120).astype(float)
    n_in = np.minimum(rng.integers(1, 6, 120), n_all - 1).astype(float)
    for log2_ratio in (0.0, 0.5, 1.0):
        a = rng.binomial(n_in[:, None].astype(int), 0.1 * 2**log2_ratio, (120, 6000)).astype(float)
        b = rng.binomial((n_all - n_in)[:, None].astype(int), 0.1, (120, 6000))
        found = stratified_test(a, a + b, n_in, n_all, min_log2_ratio=log2_ratio)
        for level in (0.05, 0.01):
            assert 0.4 * level < (found.p_value <= level).mean() < 1.2 * level, (log2_ratio, level)
        more = stratified_test(a, a + b, n_in, n_all, min_log2_ratio=log2_ratio + 0.5)
        assert (more.p_value >= found.p_value - 1e-12).all()
        assert np.array_equal(more.log2_ratio, found.log2_ratio)
    # by hand: 20 of 40 against 30 of 160, and a risk that cannot be doubled
    found = stratified_test(
        np.array([[20.0, 30.0]]),
        np.array([[50.0, 150.0]]),
        np.array([40.0]),
        np.array([200.0]),
        min_log2_ratio=1,
    )
    low = 50 / (40 * 2 + 160)
    variance = 40 * 2 * low * (1 - 2 * low) * 0.8**2 + 160 * low * (1 - low) * 0.4**2
    z = (20 * 0.8 - 2 * 30 * 0.2 - 0.5) / np.sqrt(variance * 200 / 199)
    assert found.p_value[0] == pytest.approx(norm.sf(z), rel=0.1)
    assert found.p_value[1] > 0.99


def test_classes_that_differ_in_gc_call_nothing():
    """A motif twice as frequent in one class, of which the set has more: pooled it is enriched, by class not."""
    n_all, n_in = np.array([1000.0, 1000.0]), np.array([180.0, 20.0])
    found = stratified_test(np.array([[72.0], [4.0]]), np.array([[400.0], [200.0]]), n_in, n_all)
    assert found.log2_ratio[0] == pytest.approx(0, abs=0.01)
    assert found.p_value[0] > 0.4


def test_false_discovery_rate_under_any_dependence():
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(7).random(50) ** 3
    assert np.allclose(false_discovery_rate(p, any_dependence=True), false_discovery_control(p, method="by"))


def test_motifs_that_resemble_each_other():
    rng = np.random.default_rng(8)
    word = rng.integers(0, 4, 12)

    def of(codes, name):
        return Motif(id=name, name=name, counts=np.eye(4)[codes] * 90 + 2.5)

    motifs = [
        of(word, "m"),
        of(3 - word[::-1], "other strand"),
        of(word[2:11], "part"),
        of((word + 1 + rng.integers(0, 2, 12)) % 4, "else"),
        of(np.concatenate([[0, 1, 2], word[:9]]), "moved"),
        of(word[:4], "four"),
    ]
    alike = resemble(motifs)
    assert alike[0].tolist() == [True, True, True, False, True, False]
    assert np.array_equal(alike, alike.T)
    # by plain loops
    for i, j in itertools.combinations(range(len(motifs)), 2):
        assert alike[i, j] == plainly_alike(motifs[i].probabilities(), motifs[j].probabilities())


def plainly_alike(a, b):
    for other in (b, b[::-1, ::-1]):
        for shift in range(1 - len(other), len(a)):
            low, high = max(shift, 0), min(shift + len(other), len(a))
            if high - low < min(5, len(a), len(b)):
                continue
            r = np.corrcoef(a[low:high].ravel(), other[low - shift : high - shift].ravel())[0, 1]
            if r >= 0.6 and r * (high - low) / (len(a) + len(b) - (high - low)) >= 0.4:
                return True
    return False


def test_planted_motifs_come_back_and_no_other(tmp_path):
    """Four runs: 2 motifs in 30 % of 150 GC-rich peaks, 5 % elsewhere; 40 motifs scanned.

    In the last run one of the 40 happens to be nearly a planted one, and is called: it does not lead.
    """
    for run in range(4):
        rng = np.random.default_rng([9, run])
        motifs = [random_motif(rng, int(w), f"m{i}", 0.93) for i, w in enumerate(rng.integers(8, 13, 40))]
        gc = rng.beta(8, 9, 1200)
        weight = np.exp(4 * gc)
        chosen = np.zeros(1200, dtype=bool)
        chosen[rng.choice(1200, 150, replace=False, p=weight / weight.sum())] = True
        is_gc = rng.random((1200, 300)) < gc[:, None]
        bases = np.where(is_gc, rng.integers(1, 3, is_gc.shape), rng.integers(0, 2, is_gc.shape) * 3)
        for k in range(2):
            word = motifs[k].counts.argmax(axis=1)
            for i in np.flatnonzero(rng.random(1200) < np.where(chosen, 0.3, 0.05)):
                at = rng.integers(0, 300 - len(word))
                bases[i, at : at + len(word)] = word if i % 2 else 3 - word[::-1]
        fasta = write_fasta(tmp_path / f"{run}.fa", {"chr1": bases.ravel()})
        adata = peaks_at(np.arange(1200) * 300, 300)
        tl.motif_scan(adata, motifs, fasta)
        table = tl.motif_enrichment(adata, {"set": chosen})
        called = table[table["is_enriched"]]
        assert set(called["leader"]) == {"m0", "m1"}, run
        assert len(called) == 2 or (run == 3 and called.set_index("name")["leader"]["m10"] == "m0")
        assert abs(table["gc"][0] - table["gc_background"][0]) < 0.01


def test_deviations_are_those_of_the_papers_formulas(planted):
    adata, motifs, fasta, *_ = planted
    tl.motif_scan(adata, motifs[:5], fasta)
    tl.motif_deviations(adata, n_background=8, n_rows=17, seed=3)
    x, m = adata.X.toarray().astype(float), (adata.varm[keys.MOTIF_HITS].toarray() > 0).astype(float)
    gc = adata.var[keys.GC].to_numpy(dtype=float)
    assert (x.sum(axis=0) > 0).all()
    sets = background_peaks(background_grid(gc, x.sum(axis=0) / len(x)), n_sets=8, seed=3)
    e = x.sum(axis=0) / x.sum()
    for cell, motif in itertools.product((0, 25, 59), range(5)):
        if not m[:, motif].any():
            continue
        usual = sum(e[j] * m[j, motif] for j in range(600)) * x[cell].sum()
        y = (sum(x[cell, j] * m[j, motif] for j in range(600)) - usual) / usual
        others = []
        for b in sets:
            found = sum(x[cell, b[j]] * m[j, motif] for j in range(600))
            expected = sum(e[b[j]] * m[j, motif] for j in range(600)) * x[cell].sum()
            others.append((found - expected) / expected)
        corrected = y - np.mean(others)
        assert adata.obsm[keys.MOTIF_DEVIATIONS][cell, motif] == pytest.approx(corrected, abs=1e-5)
        assert adata.obsm[keys.MOTIF_Z][cell, motif] == pytest.approx(
            corrected / np.std(others, ddof=1), rel=1e-4
        )


def test_all_backgrounds_are_what_many_draws_tend_to():
    rng = np.random.default_rng(10)
    n, m = 600, 8
    counts = rng.poisson(rng.lognormal(-1, 0.7, n) * rng.lognormal(0, 0.3, (60, 1)))
    adata = peaks_at(np.arange(n) * 300, 300, counts=sp.csr_matrix(counts.astype(np.int32)))
    adata.var[keys.GC] = rng.beta(8, 9, n).astype(np.float32)
    adata.varm[keys.MOTIF_HITS] = sp.csr_matrix((rng.random((n, m)) < 0.03).astype(np.uint16))
    names = np.array([f"m{i}" for i in range(m)], dtype=object)
    matrices = {"widths": np.full(m, 8), "counts": np.ones((8 * m, 4))}
    adata.uns[keys.MOTIFS] = {"ids": names, "names": names, **matrices}
    whole = tl.motif_deviations(adata, n_rows=13, copy=True)
    drawn = tl.motif_deviations(adata, n_background=1200, copy=True)
    assert whole.uns[keys.MOTIFS]["n_background"] == 0
    for key in (keys.MOTIF_DEVIATIONS, keys.MOTIF_Z):
        one, other = whole.obsm[key].ravel(), drawn.obsm[key].ravel()
        assert np.corrcoef(one, other)[0, 1] > 0.998
        assert np.polyfit(other, one, 1) == pytest.approx([1, 0], abs=0.015)


def test_background_peaks_match_gc_and_openness():
    rng = np.random.default_rng(5)
    gc, mean = rng.normal(0.5, 0.1, 3000), rng.lognormal(0, 1, 3000)
    sets = background_peaks(background_grid(gc, mean), n_sets=10, seed=0)
    for values in (gc, np.log10(mean)):
        assert np.corrcoef(np.tile(values, 10), values[sets].ravel())[0, 1] > 0.95


def test_bad_input(planted, tmp_path):
    adata, motifs, fasta, *_ = planted
    with pytest.raises(InputError, match="give its FASTA"):
        tl.motif_scan(adata, motifs)
    with pytest.raises(InputError, match="no coordinates"):
        tl.motif_scan(ad.AnnData(np.ones((2, 2)), var=pd.DataFrame(index=["a", "b"])), motifs, fasta)
    with pytest.raises(AssemblyError, match=r"chr1 has .* bp, 248,956,422 are expected"):
        tl.motif_scan(adata, motifs, fasta, genome="hg38")
    short = write_fasta(tmp_path / "s.fa", {"1": np.zeros(1000, int)})
    with pytest.raises(AssemblyError, match=r"past the end.*chr1 has 1,000 bp"):
        tl.motif_scan(adata, motifs, short)
    other = write_fasta(tmp_path / "o.fa", {"scaffold_1.1": np.zeros(1000, int)})
    with pytest.raises(AssemblyError, match=r"None of the 600 features.*scaffold_1\.1"):
        tl.motif_scan(adata, motifs, other)
    with pytest.raises(ConfigError, match=r"no motif 'mm3' among 30. Did you mean"):
        tl.motif_scan(adata, motifs, fasta, names=["mm3"])
    with pytest.raises(ConfigError, match="p_value is 2"):
        tl.motif_scan(adata, motifs, fasta, p_value=2)
    with pytest.raises(InputError, match="not been scanned"):
        tl.motif_deviations(adata)
    wide = peaks_at([0, 5000], 5000)
    with pytest.warns(AnnatacWarning, match="5,000 bp wide"):
        tl.motif_scan(wide, motifs, fasta)
    tl.motif_scan(adata, motifs, fasta)
    with pytest.raises(InputError, match="'A': 1 of 1 names are no peaks, first 'chr1:51-250'"):
        tl.motif_enrichment(adata, {"A": ["chr1:51-250"]})
    with pytest.raises(InputError, match="No set has 20 peaks"):
        tl.motif_enrichment(adata, {"A": adata.var_names[:3]})
    with pytest.raises(InputError, match="no motif deviations"):
        tl.marker_motifs(adata)


def test_written_and_read_again(planted, tmp_path):
    adata, motifs, fasta, *_ = planted
    tl.motif_scan(adata, motifs, fasta)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    first, second = (
        tl.motif_deviations(adata, n_background=4, copy=True),
        tl.motif_deviations(again, n_background=4, copy=True),
    )
    assert np.array_equal(first.obsm[keys.MOTIF_Z], second.obsm[keys.MOTIF_Z], equal_nan=True)
