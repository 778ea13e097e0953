"""Calibration, prediction sets, novelty and doublets: by hand, by properties, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import norm

import annatac
from annatac import tl
from annatac.annotate.annotator import Annotator
from annatac.annotate.calibration import Calibration, fit_calibration, softmax
from annatac.annotate.conformal import n_cells_needed, prediction_sets, thresholds
from annatac.annotate.depth import DepthTrend, LogDepth
from annatac.annotate.evidence import evidence_of, evidence_without, profiles_of
from annatac.annotate.fit import new_network
from annatac.annotate.novelty import Rarity, Surprise
from annatac.annotate.trust import NOT_CALIBRATED, CellScores, Trust
from annatac.config import Recipe
from annatac.corpus.batches import collate
from annatac.errors import ConfigError, ModelError
from annatac.simulate import simulate_cells
from annatac.train.crossfit import HeldOut, grown, growth
from annatac.train.finetune import FinetuneTask
from annatac.train.positions import tf_idf

# ---------------------------------------------------------------------------------- calibration


def test_calibration_finds_the_temperature_and_its_slope():
    random = np.random.default_rng(0)
    n_open = np.exp(random.normal(6, 0.5, 20_000))
    depth = LogDepth.fit(n_open)
    true = random.normal(0, 2, (20_000, 4))
    p = softmax(true)
    labels = (p.cumsum(1) < random.random((20_000, 1))).sum(1).clip(0, 3)
    shown = true / np.exp(-0.5 + 0.2 * depth(n_open))[:, None]  # over-confident, shallow cells most
    found = fit_calibration(shown, labels, n_open)
    assert found.log_scale == pytest.approx(-0.5, abs=0.05)
    assert found.depth_slope == pytest.approx(0.2, abs=0.05)
    np.testing.assert_allclose(found.offsets, 0, atol=0.1)
    np.testing.assert_allclose(found.probabilities(shown, n_open), p, atol=0.05)
    assert Calibration.from_dict(found.to_dict()) == found


def test_two_cells_hardly_move_the_softmax():
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    found = fit_calibration(logits, np.array([0, 0]), [100, 200])
    np.testing.assert_allclose(found.probabilities(logits, [100, 200]), softmax(logits), atol=0.1)


def test_depth_trends_are_taken_off():
    random = np.random.default_rng(1)
    n_open = np.exp(random.uniform(4, 8, 5000))
    values = 3 * np.log(n_open) + random.normal(0, 1, 5000) * np.log(n_open)
    found = DepthTrend.fit(values, n_open).standardised(values, n_open)
    assert abs(np.corrcoef(found, np.log(n_open))[0, 1]) < 0.05
    assert found.std() == pytest.approx(1, abs=0.1)


# -------------------------------------------------------------------------------- prediction sets


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.1, 19), (0.5, 19), (0.01, 99)])
def test_cells_needed(rate, needed):
    assert n_cells_needed(rate) == needed


def test_thresholds_by_hand():
    p = np.concatenate([np.arange(1, 20) / 20, [0.3, 0.4], np.full(17, 0.6)])
    labels = np.concatenate([np.zeros(19, int), [1, 1], np.full(17, 2)])
    found = thresholds(p, labels, 4, 0.05)
    assert found.is_pooled.tolist() == [False, True, True, True]
    # 20 x 0.05 = 1: the smallest; of the pool of 19 cells too
    np.testing.assert_allclose(found.least, [0.05, 0.3, 0.3, 0.3])
    # 20 x 0.075 = 1.5: half way, in logarithms, between the smallest and the next
    np.testing.assert_allclose(thresholds(p[:19], labels[:19], 1, 0.075).least, [np.sqrt(0.05 * 0.1)])
    assert thresholds(p[:5], labels[:5], 2, 0.05).least.tolist() == [0, 0], "every type is in every set"


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("n_cells", [30, 50])
def test_coverage_of_exchangeable_cells(rate, n_cells):
    """Over many draws coverage is its promise also where no cell's rank is: 31 x 0.05 = 1.55 would leave 3.2 %."""
    random = np.random.default_rng(2)
    n_held, n = 3 * n_cells, 3 * n_cells + 60
    covered = []
    for _ in range(400):
        logits = random.normal(0, 1, (n, 3))
        labels = np.arange(n) % 3
        logits[np.arange(n), labels] += 1
        own = softmax(logits)[np.arange(n), labels]
        found = thresholds(own[:n_held], labels[:n_held], 3, rate)
        covered.append((own[n_held:] >= found.least[labels[n_held:]]).mean())
    assert np.mean(covered) == pytest.approx(1 - rate, abs=0.008)


def test_sets_at_a_higher_rate_lie_in_those_at_a_lower_one():
    """Types of 2 to 120 held-out cells, some drawn to be hard, at rates that ask for 1 to 999 cells."""
    random = np.random.default_rng(6)
    labels = np.repeat(np.arange(7), [2, 9, 12, 18, 19, 45, 120])
    p = np.concatenate(
        [random.beta(3 + k % 3, 1 + k % 2, n) for k, n in enumerate([2, 9, 12, 18, 19, 45, 120])]
    )
    rates = [0.001, 0.01, 0.02, 0.05, 0.06, 0.1, 0.11, 0.2, 0.5, 0.9]
    least = np.stack([thresholds(p, labels, 7, rate).least for rate in rates])
    assert (np.diff(least, axis=0) >= 0).all()
    few = labels < 4
    least = np.stack([thresholds(p[few], labels[few], 5, rate).least for rate in rates])
    assert (np.diff(least, axis=0) >= 0).all()


def test_a_cell_unlike_all_types_has_an_empty_set():
    p = np.array([[0.5, 0.3, 0.2], [0.96, 0.03, 0.01]])
    found = thresholds(np.full(99, 0.95), np.repeat([0, 1, 2], 33), 3, 0.1)
    assert prediction_sets(p, found).tolist() == [[False, False, False], [True, False, False]]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0])
def test_error_rates_outside_0_and_1_are_refused(named, rate):
    with pytest.raises(ConfigError, match=r"error rate is .* over 0 and under 1"):
        named(error_rate=rate)
    with pytest.raises(ConfigError, match=r"novelty rate is .* over 0 and under 1"):
        named(novelty_rate=rate)


def test_sets_are_written_and_small_types_named(named, types, annotator):
    result = named(error_rate=0.05)
    sets = result.obsm["annatac_prediction_set"]
    assert sets.dtype == bool
    assert sets.shape == (60, len(types))
    assert (sets >= named(error_rate=0.1).obsm["annatac_prediction_set"]).all()
    assert result.uns["annatac"]["parameters"]["error_rate"] == 0.05
    n_held_out = dict(zip(types, annotator.artifact.calibration["held_out_per_type"], strict=True))
    assert list(result.uns["annatac"]["pooled_types"]) == [name for name in types if n_held_out[name] < 19]
    assert "annatac_prediction_set" not in named().obsm


# ------------------------------------------------------------------------------- novelty, doublets


def test_rarity_is_the_share_of_held_out_cells_and_never_ties_beyond_them():
    found = Rarity(np.arange(1.0, 1001))
    assert found([500.0])[0] == pytest.approx(0.5, abs=0.01)
    assert found([-5.0])[0] == 0
    beyond = found([950.0, 1000.0, 1100.0, 1200.0])
    assert (np.diff(beyond) > 0).all()
    assert (beyond <= 1).all()
    assert np.isfinite(Rarity(np.zeros(30))([0.0, 1.0])).all()


def test_shares_within_a_type_by_hand():
    """40 held-out cells of type 1 lie beyond nearly all 960 of type 0."""
    scores = np.concatenate([np.arange(960.0), 950.5 + np.arange(40)])
    types = np.repeat([0, 1], [960, 40])
    order = np.argsort(scores)
    found = Rarity(scores[order], types[order])
    x = np.array([970.5])  # 20 of the 40 lie under it, and all of type 0
    of_all = found(x)[0]
    assert of_all > 0.95
    own = (40 * 21 / 41 + 5 * of_all) / 45  # the grid of 40 scores: i / 41, and five cells for all types
    assert found.within_type(x, np.array([1]))[0] == pytest.approx(own, abs=1e-4)
    assert found.within_type(x, np.array([0]))[0] > 0.99
    assert found.within_type(x, np.array([7]))[0] == pytest.approx(of_all), "no held-out cell was called so"
    assert Rarity(scores[order]).within_type(x, np.array([1]))[0] == pytest.approx(of_all), "an older model"
    rising = found.within_type(np.linspace(900, 1200, 50), np.ones(50, dtype=int))
    assert (np.diff(rising) >= 0).all()


def test_false_alarms_within_a_type_stay_under_twice_the_rate():
    random = np.random.default_rng(11)

    def drawn(n):
        types = (random.random(n) < 0.03).astype(np.int64)
        return random.normal(0, 1, n) + 3 * types, types

    held, held_types = drawn(40_000)
    order = np.argsort(held)
    found = Rarity(held[order], held_types[order])
    scores, types = drawn(40_000)
    judged = CellScores(found(scores), found.within_type(scores, types), np.zeros(40_000))
    rare = types == 1
    assert (judged.novelty[rare] > 0.95).mean() > 0.8, (
        "by one threshold for all, most of a rare type is novel"
    )
    assert judged.is_novel(0.05)[rare].mean() == pytest.approx(0.1, abs=0.02)
    assert judged.is_novel(0.05).mean() < 0.05
    assert (judged.is_novel(0.2) >= judged.is_novel(0.05)).all()


def test_a_model_of_before_types_were_kept_judges_all_cells_alike(annotator):
    trust = annotator.trust
    assert trust.novelty.rarity.types is not None
    older = {name: array for name, array in trust.tensors().items() if name != "novelty_types"}
    again = Trust.of(annotator.artifact.calibration, older)
    assert again.novelty.rarity.types is None
    x = np.linspace(0, 9, 20)
    shares = again.novelty.rarity.within_type(x, np.zeros(20, dtype=int))
    np.testing.assert_array_equal(shares, trust.novelty.rarity(x))


def _by_loops(tokens, log_ratios, log_background):
    best, fit, mixed = [], [], []
    for row in tokens.toarray():
        logs = log_ratios[row > 0].astype(float)
        summed = logs.sum(0)
        a = int(summed.argmax())
        pairs = [np.log((np.exp(logs[:, a]) + np.exp(logs[:, b])) / 2).sum() for b in range(4) if b != a]
        scale = np.sqrt(max(len(logs), 1))
        best.append(summed[a] / scale)
        fit.append((summed[a] + log_background[row > 0].sum()) / max(len(logs), 1))
        mixed.append((max(pairs) - summed[a]) / scale)
    return np.array(best), np.array(fit), np.array(mixed)


def test_evidence_against_plain_loops():
    random = np.random.default_rng(3)
    tokens = sp.csr_matrix((random.random((30, 50)) < 0.2).astype(np.uint8))
    tokens = sp.vstack([tokens[:7], sp.csr_matrix((1, 50), dtype=np.uint8), tokens[8:]]).tocsr()
    profiles = profiles_of(tokens, np.arange(30) % 4, 4)
    tables = profiles.log_ratios(), profiles.log_background()
    found = evidence_of(tokens, *tables)
    best, fit, mixed = _by_loops(tokens, *tables)
    keep = np.arange(30) != 7
    np.testing.assert_allclose(found.best[keep], best[keep], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.fit[keep], fit[keep], rtol=1e-4)
    np.testing.assert_allclose(found.mixed[keep], mixed[keep], rtol=1e-4, atol=1e-4)
    assert found.best[7] == found.fit[7] == found.mixed[7] == 0, "a cell without open islands"


def test_a_reference_cell_is_judged_as_if_it_were_a_query():
    """Leaving a cell out of the profiles is to make them of the others."""
    random = np.random.default_rng(4)
    tokens = sp.csr_matrix((random.random((20, 30)) < 0.3).astype(np.uint8))
    tokens = sp.vstack([tokens] * 3).tocsr()
    labels = np.arange(60) % 3
    profiles = profiles_of(tokens, labels, 3)
    found = evidence_without(tokens, profiles, labels)
    for cell in (0, 5, 41):
        others = np.arange(60) != cell
        apart = replace(profiles_of(tokens[others], labels[others], 3), weight=profiles.weight)
        wanted = evidence_of(tokens[cell], apart.log_ratios(), apart.log_background())
        for name in ("best", "fit", "mixed"):
            assert getattr(found, name)[cell] == pytest.approx(getattr(wanted, name)[0], rel=1e-3, abs=1e-4)


def test_statistics_are_joined_as_fisher_does():
    """A high one counts by the logarithm of its tail; one far below the mean takes nothing away."""
    random = np.random.default_rng(7)
    n_open = np.exp(random.normal(6, 0.5, 4000))
    usual = [random.normal(0, 1, 4000), random.normal(0, 1, 4000)]
    found = Surprise.fit(usual, n_open)
    total = found.total([np.array([0.0, 3.0, 3.0]), np.array([0.0, 0.0, -8.0])], np.full(3, 400))
    wanted = [2 * -norm.logsf(0), -norm.logsf(3) - norm.logsf(0), -norm.logsf(3)]
    np.testing.assert_allclose(total, wanted, rtol=0.05)
    fresh = [random.normal(0, 1, 4000), random.normal(0, 1, 4000)]
    assert (found(fresh, n_open) > 0.95).mean() == pytest.approx(0.05, abs=0.015)


def test_growth_makes_up_for_cells_that_the_held_out_scores_lack():
    """Of more cells decision values are further apart; what is missing to the whole is a part of what was gained."""
    cells = simulate_cells(400, cell_types=4, n_islands=300, open_islands=60, seed=3)
    labels = pd.Categorical(cells.obs["cell_type"]).codes.astype(np.int64)
    tokens = (sp.csr_matrix(cells.X) > 0).astype(np.uint8)
    recipe = Recipe.load("debug")
    recipe = replace(recipe, finetune=replace(recipe.finetune, wide_folds=4))
    network = new_network(tokens, 4, recipe, None, 0)
    task = FinetuneTask(
        network, tokens, labels, recipe.finetune,
        training=np.arange(400), held_out=np.arange(0), seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    assert task.tables is not None
    rows = task.training
    scores = task.scores(rows)
    factors = growth(task)
    assert (factors > 1).all()
    whole = (tf_idf(tokens, task.tables.idf.numpy()) @ task.tables.linear[-tokens.shape[1] :].numpy()).max(1)
    assert factors[0] < (whole + 1).mean() / scores.wide[0].max(1).mean()
    raised = grown(HeldOut(rows, scores.logits, scores.wide), factors, task)
    np.testing.assert_allclose(raised.wide, scores.wide * factors[:, None, None], rtol=1e-6)
    wide_path = task.network.wide
    batch = collate(tokens, rows)
    with torch.no_grad():  # as the path puts raised scores
        more = wide_path(batch, torch.from_numpy(raised.wide)) - wide_path(
            batch, torch.from_numpy(scores.wide)
        )
    np.testing.assert_allclose(raised.logits - scores.logits, more.numpy(), atol=1e-4)


def test_cells_of_no_known_type_are_newer_and_two_cells_at_once_are_seen(tmp_path):
    """Simulated cells; novel ones are open at random islands, doublets are sums of two."""
    cells = simulate_cells(600, cell_types=6, n_islands=400, open_islands=80, seed=5)
    half = np.arange(600) % 2 == 0
    model = annatac.finetune(cells[half].copy(), label_key="cell_type", output=tmp_path / "m", recipe="debug")
    single, strange = cells[~half].copy(), cells[~half].copy()
    strange.X = sp.csr_matrix(strange.X)[:, np.random.default_rng(1).permutation(cells.n_vars)]
    tl.annotate(single, model)
    tl.annotate(strange, model)  # a query of novel cells alone
    assert single.obs["annatac_is_novel"].mean() < 0.15
    assert strange.obs["annatac_is_novel"].mean() > 0.5
    double = single.copy()
    double.X = sp.csr_matrix(single.X + single.X[np.random.default_rng(0).permutation(single.n_obs)])
    tl.annotate(double, model)
    assert double.obs["annatac_doublet_score"].mean() > single.obs["annatac_doublet_score"].mean()


def test_a_cell_is_called_alone_as_among_others(named, query):
    among, alone = named(error_rate=0.1), named(query[17].copy(), error_rate=0.1)
    for slot in ("annatac_novelty", "annatac_doublet_score", "annatac_confidence"):
        assert alone.obs[slot].iloc[0] == pytest.approx(among.obs[slot].iloc[17], abs=1e-5)
    assert alone.obs["annatac_reason"].iloc[0] == among.obs["annatac_reason"].iloc[17]
    assert np.array_equal(alone.obsm["annatac_prediction_set"][0], among.obsm["annatac_prediction_set"][17])


# ------------------------------------------------------------------------------------ bad input


def test_an_uncalibrated_model_takes_the_published_rule_and_says_what_it_cannot(annotator, query):
    plain = Annotator(replace(annotator.artifact, calibration=NOT_CALIBRATED, held_out={}))
    result = tl.annotate(query, plain, copy=True)
    assert result is not None
    assert result.uns["annatac"]["parameters"]["novelty_method"] == "softmax"
    assert result.uns["annatac"]["parameters"]["novelty_threshold"] == 0.5
    assert "annatac_doublet_score" not in result.obs
    for wish in ({"error_rate": 0.05}, {"novelty_method": "evidence"}):
        with pytest.raises(ModelError, match=r"not calibrated.*Fine-tune again"):
            tl.annotate(query, plain, **wish)


def test_a_reference_too_small_to_hold_cells_out_is_not_calibrated(tmp_path):
    tiny = simulate_cells(18, cell_types=2, n_islands=100, open_islands=40, seed=1)
    model = annatac.finetune(tiny, label_key="cell_type", output=tmp_path / "m", recipe="debug")
    assert model.trust is None
    assert model.artifact.calibration == NOT_CALIBRATED


def test_unknown_methods_and_contradictions_are_refused(named):
    with pytest.raises(ConfigError, match=r"method 'evidenc' is unknown.*evidence"):
        named(novelty_method="evidenc")
    with pytest.raises(ConfigError, match=r"threshold \(0.5\) is one of the softmax"):
        named(novelty_method="evidence", novelty_threshold=0.5)
