from __future__ import annotations

import io
import json
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from annatac import keys
from annatac.benchmark import evaluate
from annatac.errors import InputError, LabelError

CLASSES = ["B", "T/NK", "Mono"]
#         truth    forced    novel  sample
CELLS = [
    ("B", "B", False, "s1"),
    ("B", "B", False, "s1"),
    ("B", "T/NK", True, "s2"),
    ("T/NK", "T/NK", False, "s1"),
    ("T/NK", "Mono", False, "s2"),
    ("pDC", "B", True, "s2"),
    ("pDC", "B", False, "s2"),
    (None, "Mono", False, "s1"),
]


@pytest.fixture
def cells():
    truth, forced, novel, sample = zip(*CELLS, strict=True)
    probabilities = np.full((len(CELLS), 3), 0.1, dtype=np.float32)
    probabilities[np.arange(len(CELLS)), [CLASSES.index(name) for name in forced]] = 0.8
    label = [keys.NOVEL_LABEL if new else name for name, new in zip(forced, novel, strict=True)]
    obs = pd.DataFrame(
        {
            "truth": pd.Categorical(truth),
            "sample": sample,
            keys.LABEL: pd.Categorical(label),
            keys.NOVELTY: np.where(novel, 0.9, 0.2).astype(np.float32),
        },
        index=[f"cell{i}" for i in range(len(CELLS))],
    )
    adata = ad.AnnData(obs=obs, uns={keys.UNS: {"classes": np.array(CLASSES)}})
    adata.obsm[keys.PROBABILITIES] = probabilities
    return adata


def test_summary_by_hand(cells):
    summary = evaluate(cells, "truth").summary
    assert summary["n_cells"] == 8
    assert summary["n_unlabelled"] == 1
    assert summary["n_evaluated"] == 5
    assert summary["n_unknown_type"] == 2
    assert summary["accuracy"] == pytest.approx(3 / 5)
    assert summary["accuracy_accepted"] == pytest.approx(3 / 4)
    assert summary["share_rejected"] == pytest.approx(1 / 5)
    assert summary["share_rejected_unknown"] == pytest.approx(1 / 2)
    # 2 unknown x 5 known: (0.9 against 0.2 x 4, tied with 0.9) + (0.2 tied x 4, under 0.9)
    assert summary["novelty_auroc"] == pytest.approx((4 + 0.5 + 4 * 0.5 + 0) / 10)
    assert summary["jaccard_micro"] == pytest.approx(3 / 7)


def test_unknown_types_stand_apart(cells):
    table = evaluate(cells, "truth").per_type
    assert table.index.tolist() == ["B", "T/NK", "pDC"]
    assert table["n"].tolist() == [3, 2, 2]
    assert table["known"].tolist() == [True, True, False]
    assert table.loc["B", "recall"] == pytest.approx(2 / 3)
    assert table.loc["B", "precision"] == pytest.approx(1)  # the pDC called B do not count
    assert np.isnan(table.loc["pDC", "recall"])
    assert table.loc["pDC", "most_often"] == "B"
    assert table.loc["pDC", "share_novel"] == pytest.approx(0.5)


def test_confusion_and_flow(cells):
    result = evaluate(cells, "truth")
    assert result.confusion.columns.tolist() == CLASSES
    assert result.confusion.loc["B"].tolist() == [2, 1, 0]
    assert result.confusion.loc["pDC", "B"] == 2
    assert result.flow.columns.tolist() == [*CLASSES, keys.NOVEL_LABEL]
    assert result.flow.loc["pDC"].tolist() == [1, 0, 0, 1]
    assert result.flow.to_numpy().sum() == result.confusion.to_numpy().sum() == 7


def test_by_sample(cells):
    table = evaluate(cells, "truth", by="sample").by
    assert table.index.tolist() == ["s1", "s2"]
    assert table["n_evaluated"].tolist() == [3, 2]
    assert table["accuracy"].tolist() == [1.0, 0.0]
    assert table.loc["s2", "accuracy_accepted"] == 0
    assert table.loc["s2", "share_rejected"] == pytest.approx(0.5)


def test_a_group_without_a_known_type_has_no_score(cells):
    cells.obs["sample"] = ["s1"] * 5 + ["s2"] * 3
    table = evaluate(cells, "truth", by="sample").by
    assert table.loc["s2", "n_evaluated"] == 0
    assert np.isnan(table.loc["s2", "accuracy"])


def test_to_dict_is_json(cells):
    content = json.loads(json.dumps(evaluate(cells, "truth", by="sample").to_dict(), allow_nan=False))
    assert content["summary"]["accuracy"] == pytest.approx(0.6)
    assert content["per_type"]["pDC"]["recall"] is None
    assert content["confusion"]["T/NK"]["Mono"] == 1
    assert content["by"]["groups"]["s1"]["accuracy"] == 1.0


def test_prints_as_tables(cells):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(evaluate(cells, "truth", by="sample"))
    text = console.export_text()
    for expected in ("Cohen's kappa", "0.600", "T/NK", "does not know", "By sample", "1 left out"):
        assert expected in text


def test_all_known_has_nothing_of_unknown(cells):
    known = cells[:5].copy()
    result = evaluate(known, "truth")
    assert "novelty_auroc" not in result.summary
    assert "share_rejected_unknown" not in result.summary


def test_after_writing_and_reading(cells, tmp_path):
    cells.write_h5ad(tmp_path / "out.h5ad")
    back = ad.read_h5ad(tmp_path / "out.h5ad", backed="r")
    assert evaluate(back, "truth").summary == evaluate(cells, "truth").summary


def test_not_annotated(cells):
    del cells.obsm[keys.PROBABILITIES]
    with pytest.raises(InputError, match=r"obsm\['annatac_probabilities'\] missing. Annotate them first"):
        evaluate(cells, "truth")


def test_probabilities_that_do_not_fit(cells):
    cells.uns[keys.UNS]["classes"] = np.array(["B", "T/NK"])
    with pytest.raises(InputError, match=r"shape \(8, 3\).* names 2 types"):
        evaluate(cells, "truth")


@pytest.mark.parametrize("options", [{"truth_key": "trut"}, {"truth_key": "truth", "by": "sampel"}])
def test_missing_column_names_the_nearest(cells, options):
    with pytest.raises(LabelError, match="Did you mean"):
        evaluate(cells, **options)


def test_foreign_names(cells):
    cells.obs["truth"] = "b cell"
    with pytest.raises(LabelError, match="None of the 1 types"):
        evaluate(cells, "truth")
    cells.obs["truth"] = np.nan
    with pytest.raises(LabelError, match="No cell has a true type"):
        evaluate(cells, "truth")


def test_the_name_is_the_function_however_it_is_imported():
    code = (
        "import annatac.benchmark.evaluate, annatac; "
        "assert callable(annatac.evaluate) and callable(annatac.benchmark.evaluate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_of_many_values_are_judged_by_quarters(cells):
    many = cells[np.arange(200) % 7].copy()
    many.obs_names_make_unique()
    many.obs["depth"] = np.arange(200) * 10.0
    many.obs.loc[many.obs_names[0], "depth"] = np.nan
    table = evaluate(many, "truth", by="depth").by
    assert list(table.index) == ["(none)", *(f"{i}: {a} to {b}" for i, a, b in BOUNDS)]
    assert table["n_cells"].tolist() == [1, 50, 50, 49, 50]


BOUNDS = [(1, "9.999", "505"), (2, "505", "1000"), (3, "1000", "1495"), (4, "1495", "1990")]
