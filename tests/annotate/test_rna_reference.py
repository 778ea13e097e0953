"""Label transfer from RNA: shared genes, the transfer, the command; RNA counts are simulated throughout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

import annatac
from annatac import keys
from annatac.annotate.rna_reference import log_scaled, shared_genes
from annatac.annotate.rna_transfer import TransferSettings, marker_genes, smoothed, standardised
from annatac.cli import main
from annatac.errors import ConfigError, InputError, LabelError, OverlapError
from annatac.genome.intervals import intervals_of
from annatac.simulate import simulate_cells, simulate_rna


@pytest.fixture(scope="module")
def cells():
    return simulate_cells(400, cell_types=4, n_islands=1200, open_islands=200)


@pytest.fixture(scope="module")
def genes(cells):
    """A gene in the middle of every other island."""
    table = intervals_of(cells.var).iloc[::2]
    start = table["start"] + 2_000
    symbols = [f"Gene{i}" for i in range(len(table))]
    return pd.DataFrame(
        {"chrom": table["chrom"], "start": start, "end": start + 1_000, "symbol": symbols, "strand": "+"}
    )


@pytest.fixture(scope="module")
def pair(cells, genes):
    """Half of the cells as the query, RNA made up from the other half, gene names in capitals."""
    first = np.arange(cells.n_obs) % 2 == 0
    rna = simulate_rna(cells[first].copy(), genes, n_cells=400, linked=1.0, noise=0.2, effect=1.5, seed=1)
    rna.var_names = [name.upper() for name in rna.var_names]
    return cells[~first].copy(), rna


def test_most_cells_of_a_simulated_pair_get_their_type(pair, genes):
    query, rna = pair
    named = annatac.tl.annotate_by_rna(query, rna, "cell_type", genes=genes, copy=True)
    assert keys.LABEL not in query.obs
    probabilities = named.obsm[keys.PROBABILITIES]
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    classes = named.uns[keys.UNS]["classes"]
    truth = query.obs["cell_type"].astype(str).to_numpy()
    accuracy = (classes[probabilities.argmax(1)] == truth).mean()
    assert accuracy > pd.Series(truth).value_counts(normalize=True).iloc[0] + 0.1, (
        "the most frequent type has 0.47"
    )
    np.testing.assert_allclose(named.obs[keys.NOVELTY], 1 - named.obs[keys.CONFIDENCE], atol=1e-6)
    is_novel = named.obs[keys.IS_NOVEL].to_numpy()
    np.testing.assert_array_equal(is_novel, named.obs[keys.LABEL] == keys.NOVEL_LABEL)
    assert set(named.obs[keys.REASON]) <= set(keys.REASONS)
    assert named.uns[keys.UNS]["overlap"]["n_genes_shared"] == len(genes)
    assert annatac.evaluate(named, "cell_type").summary["accuracy"] == pytest.approx(accuracy)


def test_genes_are_matched_by_symbol_whatever_its_case(pair, genes):
    query, rna = pair
    twice = rna[:, :300].copy()
    twice.var_names = [f"gene{i % 250}" for i in range(300)]  # the first fifty occur twice
    shared = shared_genes(query, twice, "cell_type", genes)
    assert len(shared.genes) == 250
    assert shared.n_rna == 250
    summed = rna.X[:, :250].toarray().astype(float)
    summed[:, :50] += rna.X[:, 250:300].toarray()
    order = [int(name.removeprefix("GENE")) for name in shared.genes]
    expected = np.log1p(summed / summed.sum(1, keepdims=True) * 1e4)[:, order]
    np.testing.assert_allclose(shared.rna.toarray(), expected, rtol=1e-4)


def test_ensembl_ids_need_a_column_of_symbols(pair, genes):
    query, rna = pair
    by_id = rna.copy()
    by_id.var_names = [f"ENSG{i:011d}.3" for i in range(rna.n_vars)]
    with pytest.raises(InputError, match=r"Ensembl ids such as 'ENSG00000000000.3'.*no column of symbols"):
        shared_genes(query, by_id, "cell_type", genes)
    by_id.var["gene_name"] = rna.var_names.to_numpy()
    assert len(shared_genes(query, by_id, "cell_type", genes).genes) == len(genes)


def normalised(rna):
    rna.layers["counts"] = rna.X.copy()
    rna.X = log_scaled(sp.csr_matrix(rna.X))


def misnamed(rna):
    rna.obs.rename(columns={"cell_type": "celltype"}, inplace=True)


def of_one_type(rna):
    rna.obs["cell_type"] = "one"


def of_other_genes(rna):
    rna.var_names = [f"X{i}" for i in range(rna.n_vars)]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (misnamed, LabelError, "Did you mean 'celltype'"),
        (of_one_type, LabelError, r"has 1 type\(s\); two or more"),
        (
            normalised,
            InputError,
            r"raw counts are expected.*Layer 'counts' may hold them: --rna-layer counts",
        ),
        (of_other_genes, OverlapError, "0 genes in common"),
    ],
)
def test_a_reference_that_cannot_be_used_says_why(pair, genes, change, error, message):
    query, rna = pair[0], pair[1].copy()
    change(rna)
    with pytest.raises(error, match=message):
        shared_genes(query, rna, "cell_type", genes)


def test_a_layer_of_raw_counts_is_used(pair, genes):
    query, rna = pair[0], pair[1].copy()
    plain = shared_genes(query, rna, "cell_type", genes)
    normalised(rna)
    layered = shared_genes(query, rna, "cell_type", genes, layer="counts")
    np.testing.assert_array_equal(plain.rna.toarray(), layered.rna.toarray())
    with pytest.raises(InputError, match=r"no layer 'count'. It has: counts"):
        shared_genes(query, rna, "cell_type", genes, layer="count")


def test_markers_are_high_in_their_type_alone():
    random = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    x = random.poisson(1.0, (120, 30)).astype(float)
    x[codes == 0, 3] += 4
    x[codes == 1, 7] += 4
    x[(codes == 1) | (codes == 2), 9] += 4  # of two types: a marker of neither
    found = marker_genes(sp.csr_matrix(x), codes, 1)
    assert {3, 7} <= set(found)
    assert 9 not in found


def test_a_cell_is_averaged_with_its_nearest():
    tokens = sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 4))))  # two groups of three cells
    scores = sp.csr_matrix(np.arange(6.0)[:, None])
    np.testing.assert_allclose(
        smoothed(scores, tokens, 3, 0).toarray().ravel(), [1, 1, 1, 4, 4, 4], atol=1e-6
    )
    assert smoothed(scores, tokens, 1, 0) is scores
    z = standardised(np.array([[1.0, 5], [3, 5]], dtype=np.float32))
    np.testing.assert_allclose(z, [[-1, 0], [1, 0]])
    with pytest.raises(ConfigError, match="n_smooth 0"):
        TransferSettings(n_smooth=0)
    with pytest.raises(ConfigError, match="linked is 2"):
        simulate_rna(AnnData(), pd.DataFrame(), linked=2)


@pytest.fixture
def files(pair, genes, tmp_path):
    """Query, reference and genes on disk."""
    query, rna = pair
    query.write_h5ad(tmp_path / "query.h5ad")
    rna.write_h5ad(tmp_path / "rna.h5ad")
    genes[["chrom", "start", "end", "symbol"]].assign(score=0, strand="+").to_csv(
        tmp_path / "genes.bed", sep="\t", header=False, index=False
    )
    return tmp_path


def call(files, *more, output="out.h5ad"):
    named = ["--rna-reference", files / "rna.h5ad", "-o", files / output]
    return main(["annotate", str(files / "query.h5ad"), *map(str, named), *map(str, more)])


def test_the_command_writes_what_the_function_gives(files, pair, genes, capsys):
    more = ("--label-key", "cell_type", "--gtf", files / "genes.bed", "--csv", files / "labels.csv")
    assert call(files, *more) == 0
    shown = capsys.readouterr().out
    assert f"{len(genes)} genes in common" in shown
    assert "Confidence is not calibrated" in " ".join(shown.split())
    written = read_h5ad(files / "out.h5ad")
    named = annatac.tl.annotate_by_rna(pair[0], pair[1], "cell_type", genes=genes, copy=True)
    np.testing.assert_allclose(written.obsm[keys.PROBABILITIES], named.obsm[keys.PROBABILITIES], atol=1e-5)
    assert written.obs[keys.LABEL].tolist() == named.obs[keys.LABEL].tolist()
    assert len(pd.read_csv(files / "labels.csv")) == pair[0].n_obs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--rna-reference needs --label-key"),
        (("--label-key", "cell_type", "--error-rate", "0.05"), "--error-rate goes with --model"),
        (("--label-key", "cell_type", "--novelty-rate", "0.05"), "--novelty-rate goes with --model"),
        (("--label-key", "cell_type", "--model", "m"), "give either --model or --rna-reference"),
        (("--label-key", "celltype", "--gtf", "genes.bed"), "no column 'celltype'"),
        (("--label-key", "cell_type", "--gtf", "absent.gtf"), "absent.gtf"),
    ],
)
def test_the_command_refuses_in_words(files, monkeypatch, capsys, options, message):
    monkeypatch.chdir(files)
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    assert call(files, *options) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (files / "out.h5ad").exists()


def test_without_genes_the_command_asks_for_them(files, monkeypatch, capsys):
    monkeypatch.setattr("annatac.jobs.annotating_by_rna.datasets.is_here", lambda name: False)
    assert call(files, "--label-key", "cell_type") == 2
    assert "give them by --gtf" in " ".join(capsys.readouterr().err.split())


def test_options_of_the_other_kind_are_refused_with_a_model(files, capsys):
    arguments = ["annotate", files / "query.h5ad", "--model", "m", "-o", files / "o.h5ad", "--label-key", "x"]
    assert main([str(one) for one in arguments]) == 2
    assert "--label-key goes with --rna-reference" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )


@pytest.mark.dataset("schep2017_lines", "hg19_genes")
def test_real_atac_with_made_up_rna(dataset):
    cells = dataset("schep2017_lines")
    first = np.random.default_rng(0).random(cells.n_obs) < 0.5
    genes = dataset("hg19_genes")
    rna = simulate_rna(cells[first].copy(), genes, n_cells=600, linked=0.5, seed=0)
    query = cells[~first].copy()
    named = annatac.tl.annotate_by_rna(query, rna, "cell_type", genes=genes, copy=True)
    assert (
        annatac.evaluate(named, "cell_type").summary["accuracy"] > 0.6
    )  # each of the 12 lines is 8 % of the cells
