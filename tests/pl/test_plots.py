from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from annatac import keys
from annatac.errors import ConfigError, DamagedFileError, InputError, LabelError, MissingFileError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402
from annatac.benchmark import evaluate  # noqa: E402
from annatac.pl import palette, training  # noqa: E402


def _annotated(n_types, n_cells=300, unknown=1, seed=0):
    import anndata as ad

    rng = np.random.default_rng(seed)
    types = np.array([f"type {i}, a long name" if i % 5 == 0 else f"T{i}" for i in range(n_types)])
    truth = rng.integers(0, n_types, n_cells)
    classes = types[: n_types - unknown]
    forced = np.where(
        rng.random(n_cells) < 0.8, np.minimum(truth, len(classes) - 1), rng.integers(0, len(classes), n_cells)
    )
    novel = (truth >= len(classes)) & (rng.random(n_cells) < 0.7)
    probabilities = np.full((n_cells, len(classes)), 0.3 / len(classes), dtype=np.float32)
    probabilities[np.arange(n_cells), forced] += 0.7
    obs = pd.DataFrame(
        {
            "truth": types[truth],
            keys.LABEL: pd.Categorical(np.where(novel, keys.NOVEL_LABEL, classes[forced])),
            keys.CONFIDENCE: rng.random(n_cells).astype(np.float32),
        },
        index=[f"c{i}" for i in range(n_cells)],
    )
    adata = ad.AnnData(obs=obs, uns={keys.UNS: {"classes": classes}})
    adata.obsm[keys.PROBABILITIES] = probabilities
    adata.obsm["X_umap"] = (rng.normal(size=(n_cells, 2)) + 5 * rng.normal(size=(n_types, 2))[truth]).astype(
        np.float32
    )
    return adata


@pytest.fixture
def cells():
    return _annotated(6)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def _overlaps(boxes):
    return [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]


def test_given_axes_are_drawn_on_and_returned(cells):
    import matplotlib.pyplot as plt

    for draw in (
        lambda ax: pl.confusion_matrix(cells, "truth", ax=ax),
        lambda ax: pl.sankey(cells, "truth", ax=ax),
        lambda ax: pl.umap(cells, ax=ax),
        lambda ax: pl.umap(cells, keys.CONFIDENCE, ax=ax),
    ):
        _, ax = plt.subplots()
        assert draw(ax) is ax
        assert draw(None) is not ax


def test_confusion_matrix_writes_the_percentages(cells):
    evaluation = evaluate(cells, "truth")
    ax = pl.confusion_matrix(evaluation)
    first = evaluation.confusion.iloc[0]
    assert f"{100 * first.iloc[0] / first.sum():.0f}" in {text.get_text() for text in ax.texts}
    assert ax.get_yticklabels()[-1].get_fontstyle() == "italic"  # unknown to the model
    counts = pl.confusion_matrix(evaluation, counts=True)
    assert sum(int(text.get_text()) for text in counts.texts) == evaluation.confusion.to_numpy().sum()


def test_confusion_matrix_keeps_the_diagonal_where_a_class_is_absent(cells):
    absent = cells[cells.obs["truth"] != "T1"].copy()
    ax = pl.confusion_matrix(absent, "truth")
    rows = [tick.get_text().rsplit(" (", 1)[0] for tick in ax.get_yticklabels()]
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    assert rows[: len(columns)] == columns


@pytest.mark.parametrize("n_types", [2, 6, 22, 40])
def test_sankey_labels_never_cover_each_other(n_types):
    ax = pl.sankey(_annotated(n_types, n_cells=2000), "truth")
    figure = ax.get_figure()
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not _overlaps(boxes)
    inside = figure.bbox.expanded(1.02, 1.02)
    assert all(inside.contains(*corner) for box in boxes for corner in (box.p0, box.p1))


def test_sankey_bars_are_as_high_as_their_cells(cells):
    evaluation = evaluate(cells, "truth")
    ax = pl.sankey(evaluation)
    from matplotlib.patches import Rectangle

    heights = np.array([patch.get_height() for patch in ax.patches if isinstance(patch, Rectangle)])
    n = np.concatenate([evaluation.flow.sum(axis=1), evaluation.flow.sum(axis=0)])
    n = n[n > 0]
    assert heights / heights.sum() == pytest.approx(n / n.sum())


def test_sankey_italics_are_for_what_the_model_does_not_know(cells):
    cells.obs[keys.LABEL] = cells.obs[keys.LABEL].astype(str).replace("T1", "T2")  # no cell ends as T1
    styles = {
        text.get_text().rsplit("  ", 1)[0]: text.get_fontstyle() for text in pl.sankey(cells, "truth").texts
    }
    assert styles["T1"] == styles["T2"] == "normal"
    assert styles["type 5, a long name"] == styles["novel"] == "italic"


def test_umap_names_do_not_cover_each_other():
    from annatac.pl.embedding import _spread

    size = np.full((12, 2), [1.0, 0.135])
    placed = _spread(np.random.default_rng(0).normal(scale=0.2, size=(12, 2)), size)
    apart = np.abs(placed[:, None] - placed[None])
    np.fill_diagonal(apart[..., 1], 9)
    assert ((apart[..., 0] >= 1.0) | (apart[..., 1] >= 0.134)).all()


def test_truth_and_label_have_the_same_colours(cells):
    from annatac.pl.embedding import colors_of

    truth, label = colors_of(cells, "truth"), colors_of(cells, keys.LABEL)
    assert all(truth[name] == color for name, color in label.items() if name != keys.NOVEL_LABEL)
    assert label[keys.NOVEL_LABEL] == palette.NOVEL_COLOR
    axes = pl.umap_panels(cells, "truth")
    assert [ax.get_title() for ax in axes] == ["true type (truth)", "annatac label", "confidence"]


def test_umap_takes_missing_values(cells):
    cells.obs["some"] = pd.Categorical([None, "a", "b"] * 100)
    pl.umap(cells, "some")


def test_the_first_22_colours_are_distinct():
    assert len(set(pl.type_colors([f"t{i}" for i in range(22)]).values())) == 23
    assert len(pl.type_colors([f"t{i}" for i in range(60)])) == 61


def test_save_writes_and_closes(cells, tmp_path):
    import matplotlib.pyplot as plt

    path = pl.save(pl.umap(cells), tmp_path / "new folder" / "umap.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_training_curves(tmp_path):
    log = tmp_path / "run.jsonl"
    entries = [{"event": "start"}]
    entries += [
        {"event": "epoch", "phase": "pretrain", "epoch": i, "train_loss": 2 - i / 10} for i in range(1, 4)
    ]
    entries += [
        {
            "event": "epoch",
            "phase": "finetune",
            "epoch": i,
            "train_loss": 1 / i,
            "valid_loss": None if i == 1 else 1.2 / i,
            "valid_accuracy": 0.2 * i,
            "valid_macro_f1": [0, 0.2, 0.5, 0.4][i],
            "score": [0, 0.4, 0.9, 1.0][i],
        }
        for i in (1, 2, 2, 3)
    ]
    log.write_text("\n".join(map(json.dumps, entries)) + '\n{"event": "epo')
    epochs = training.read_epochs(log)
    assert training.read_epochs(tmp_path).equals(epochs)
    assert epochs.index.tolist() == [1, 2, 3]
    assert training.read_epochs(log, "pretrain")["train_loss"].tolist() == [1.9, 1.8, 1.7]
    loss, quality = pl.training_panels(log)
    assert loss.get_title() == "fine-tuning"
    assert [len(line.get_xdata()) for line in loss.get_lines()] == [3, 2]
    assert loss.get_lines()[0].get_xdata().tolist() == [2, 3, 4]  # the log counts from 0, people from 1
    assert quality.get_lines()[-1].get_label() == "best epoch: 4"
    for kept, words in ((1, "best epoch: 2"), (-1, "best as it started")):  # what a finished run says counts
        end = {"event": "end", "phase": "finetune", "best_epoch": kept}
        log.write_text("\n".join(map(json.dumps, [*entries, end])))
        assert pl.training_curves(log, panel="quality").get_lines()[-1].get_label() == words
    log.write_text("\n".join(map(json.dumps, entries)))
    assert "no validation" in pl.training_curves(log, panel="quality", phase="pretrain").texts[0].get_text()
    with pytest.raises(ConfigError, match="panel is 'speed'"):
        pl.training_curves(log, panel="speed")


def test_bad_run_logs(tmp_path):
    log = tmp_path / "log.jsonl"
    with pytest.raises(MissingFileError, match="no run log"):
        pl.training_curves(log)
    log.write_text('{"event": "start"}\n')
    with pytest.raises(InputError, match="holds no epoch"):
        pl.training_curves(log)
    log.write_text('epoch 1\n{"event": "start"}\n')
    with pytest.raises(DamagedFileError, match=r"Line 1 .* is not JSON"):
        pl.training_curves(log)


def test_bad_input(cells):
    with pytest.raises(LabelError, match="truth_key is missing"):
        pl.sankey(cells)
    with pytest.raises(LabelError, match="Did you mean 'truth'"):
        pl.umap(cells, "truht")
    del cells.obsm["X_umap"]
    with pytest.raises(InputError, match="Compute it first"):
        pl.umap(cells)


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from annatac import pl\nfrom annatac.errors import MissingDependencyError\n"
        "try:\n    pl.canvas.axes_or_new(None, 1, 1)\n"
        "except MissingDependencyError as error:\n    assert 'annatac[plot]' in str(error)\n"
        "else:\n    raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
