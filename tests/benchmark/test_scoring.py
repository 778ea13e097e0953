"""Figures, their intervals and their differences, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from annatac.benchmark import metrics
from annatac.benchmark.intervals import Cells, bootstrap, confusion_scores, paired_difference
from annatac.benchmark.label_names import likely_same, warn_of_likely_same
from annatac.benchmark.scoring import judge
from annatac.errors import AnnatacWarning, InputError


def named(*words):
    return np.array(words, dtype=object)


@pytest.fixture
def calls():
    """300 cells of five types, one never called and one never true."""
    random = np.random.default_rng(3)
    truth = random.choice(["a", "b", "c", "d"], 300, p=[0.6, 0.25, 0.1, 0.05]).astype(object)
    call = np.where(random.random(300) < 0.7, truth, random.choice(["a", "b", "e"], 300)).astype(object)
    return truth, np.where(call == "d", "a", call).astype(object)


def test_metrics_of_tables_are_those_of_cells(calls):
    truth, call = calls
    names = sorted(set(truth) | set(call))
    table = metrics.confusion(truth, call, names, names).to_numpy()
    found = {name: values[0] for name, values in confusion_scores(table[None]).items()}
    expected = {**metrics.scores(truth, call), "balanced_accuracy": metrics.balanced_accuracy(truth, call)}
    assert found == pytest.approx(expected)


def test_the_interval_of_an_accuracy_is_that_of_a_share(calls):
    truth, call = calls
    low, high = bootstrap(truth, call, np.random.default_rng(0), n_draws=4000)["accuracy"]
    p = metrics.accuracy(truth, call)
    half = 1.96 * np.sqrt(p * (1 - p) / 300)
    assert (low, high) == pytest.approx((p - half, p + half), abs=0.006)


def test_a_difference_is_judged_cell_by_cell():
    truth = np.array(["a", "b"] * 100, dtype=object)
    theirs = truth.copy()
    theirs[:40] = "b"  # 20 wrong
    ours = truth.copy()
    ours[:20] = "b"  # 10 of the same cells wrong
    rows = np.arange(200)
    one, other = (Cells(rows=rows, truth=truth, call=call) for call in (ours, theirs))
    found = paired_difference([one], [other], "accuracy", np.random.default_rng(0), n_draws=2000)
    assert found.mean == pytest.approx(0.05)
    spread = np.sqrt(0.05 * 0.95 / 200)  # ten cells of 200 differ, all one way
    assert (found.low, found.high) == pytest.approx((0.05 - 1.96 * spread, 0.05 + 1.96 * spread), abs=0.008)
    assert found.p < 0.01
    same = paired_difference([one], [one], "macro_f1", np.random.default_rng(0))
    assert (same.mean, same.p) == (0, 1)


def test_repeats_of_the_same_cells_do_not_make_a_figure_surer():
    truth = np.array(["a", "b"] * 50, dtype=object)
    ours, theirs = truth.copy(), truth.copy()
    theirs[:6] = "b"
    one, other = (Cells(rows=np.arange(100), truth=truth, call=call) for call in (ours, theirs))
    widths = []
    for n in (1, 4):
        found = paired_difference([one] * n, [other] * n, "accuracy", np.random.default_rng(0), n_draws=1000)
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(widths[1])


def test_other_cells_cannot_be_compared():
    one = Cells(rows=np.arange(2), truth=named("a", "b"), call=named("a", "b"))
    other = Cells(rows=np.arange(2) + 1, truth=named("a", "b"), call=named("a", "b"))
    with pytest.raises(ValueError, match="different cells"):
        paired_difference([one], [other], "accuracy", np.random.default_rng(0))


def test_balanced_accuracy_by_hand():
    assert metrics.balanced_accuracy(named("a", "a", "a", "b"), named("a", "a", "b", "c")) == pytest.approx(
        1 / 3
    )


def test_calibration_error_by_hand():
    truth, call = named("a", "a", "b", "b"), named("a", "b", "b", "b")
    # bins of width 1/2: (0.4: right), (0.9, 0.9, 0.8: wrong, right, right)
    error = metrics.calibration_error(truth, call, [0.4, 0.9, 0.9, 0.8], n_bins=2)
    assert error == pytest.approx((abs(1 - 0.4) + abs(2 - 2.6)) / 4)
    with pytest.raises(InputError, match="4 confidences from 0 to 1"):
        metrics.calibration_error(truth, call, [2, 0, 0, 0])


def test_types_that_the_reference_lacks_are_reported_apart():
    truth = named("a", "b", "novel", "novel")
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.55, 0.45]])
    found = judge(truth, probabilities, ["a", "b"], {"a", "b"})
    assert found["scores"]["accuracy"][0] == 1
    assert (found["n_cells"], found["n_unknown"]) == (2, 2)
    assert found["unknown"] == {"novel": {"n": 2, "most_often": "a"}}
    assert found["scores"]["unknown_auroc"][0] == 1, "both are less sure than the known"
    assert found["cells"]["index"] == [0, 1]
    asked = judge(truth, probabilities, ["a", "b"], {"a", "b"}, score_unknown=True)
    assert asked["scores"]["accuracy"][0] == 0.5


def test_a_type_that_was_learnt_but_is_never_named_counts_as_missed():
    found = judge(named("a", "lone"), np.array([[1.0, 0.0], [1.0, 0.0]]), ["a", "b"], {"a", "b", "lone"})
    assert found["scores"]["accuracy"][0] == 0.5


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.ones((1, 2)) / 2, r"shape \(1, 2\)"),
        (np.array([[np.nan, 1], [0, 1]]), "1 not finite"),
        (np.array([[0.2, 0.2], [0, 1]]), "do not sum to 1"),
    ],
)
def test_what_a_method_may_not_return(probabilities, message):
    with pytest.raises(InputError, match=message):
        judge(named("a", "b"), probabilities, ["a", "b"], {"a", "b"})


def test_nothing_to_judge_is_said():
    with pytest.raises(InputError, match=r"None of the query's types \(x\) is in the reference"):
        judge(named("x"), np.array([[0.5, 0.5]]), ["a", "b"], {"a", "b"})


def test_names_that_are_probably_one():
    assert likely_same(["b_cell", "Microgila", "Neutrophils"], ["B cell", "Microglia", "neutrophil"]) == [
        ("b_cell", "B cell"),
        ("Microgila", "Microglia"),
        ("Neutrophils", "neutrophil"),
    ]
    for different in (
        ("CD4.N1", "CD4.N2"),
        ("CD4+", "CD4-"),
        ("L2/3", "L2/5"),
        ("T", "B"),
        ("proB cell", "preB cell"),
    ):
        assert likely_same(different[:1], different[1:]) == []


def test_likely_pairs_are_named_in_a_warning():
    with pytest.warns(AnnatacWarning, match="in query and reference: 't cell' and 'T cell'"):
        warn_of_likely_same(["T cell", "B"], ["t cell", "B"])
