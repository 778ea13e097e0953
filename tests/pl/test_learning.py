"""Several training runs beside each other."""

from __future__ import annotations

import json

import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from annatac import pl  # noqa: E402
from annatac.errors import AnnatacWarning, ConfigError, InputError  # noqa: E402

FIGURES = {"valid_loss": 1.0, "valid_accuracy": 0.5, "valid_macro_f1": 0.4}


@pytest.fixture
def model(tmp_path):
    """``model("a", base=None, start=0.3, accuracies=[...])``: a folder with a run log and settings."""

    def make(name, *, base=None, start=None, accuracies=(0.5, 0.6), cells=10, best=1):
        folder = tmp_path / name
        folder.mkdir()
        begin = {} if start is None else {**FIGURES, "valid_accuracy": start}
        events = [{"event": "start", "phase": "finetune", **begin}]
        events += [
            {"event": "epoch", "phase": "finetune", "epoch": i, **FIGURES, "valid_accuracy": value}
            for i, value in enumerate(accuracies)
        ]
        events.append({"event": "end", "phase": "finetune", "best_epoch": best - 1})
        (folder / "run.jsonl").write_text("\n".join(map(json.dumps, events)))
        settings = f"base: {base or 'null'}\ncells_per_type:\n  B: {cells}\n"
        (folder / "training.yaml").write_text(settings)
        return folder

    return make


def test_lines_begin_before_training_and_say_their_base(model):
    plain, based = (
        model("plain", start=0.2, best=2),
        model("with", base="there/human-base", start=0.45, best=0),
    )
    accuracy, f1, loss = pl.learning_curves([plain, based])
    first, ring, second, second_ring = accuracy.get_lines()
    assert first.get_xdata().tolist() == [0, 1, 2]
    assert first.get_ydata().tolist() == [0.2, 0.5, 0.6]
    assert second.get_ydata().tolist() == [0.45, 0.5, 0.6]
    assert (ring.get_xdata(), second_ring.get_xdata()) == ([2], [0])
    names = [text.get_text() for text in accuracy.get_figure().legends[0].get_texts()]
    assert names == ["plain (no base)", "with (base: human-base)"]
    assert first.get_color() != second.get_color()
    assert [ax.get_title() for ax in (f1, loss)] == ["macro-F1, held-out cells", "loss, held-out cells"]


def test_logs_without_a_start_and_names_of_ones_own(model):
    old = model("old")
    accuracy, *_ = pl.learning_curves([old / "run.jsonl", model("new", start=0.1)], names=["a", "b"])
    assert accuracy.get_lines()[0].get_xdata().tolist() == [1, 2]
    assert accuracy.get_lines()[2].get_label() == "b"


def test_what_does_not_compare(model):
    with pytest.warns(AnnatacWarning, match="was trained on other cells"):
        pl.learning_curves([model("a"), model("b", cells=11)])
    with pytest.raises(ConfigError, match="1 model is given; two or more"):
        pl.learning_curves([model("c")])
    silent = model("d")
    events = [json.loads(line) for line in (silent / "run.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in event.items() if not k.startswith("valid")} for event in events]
    (silent / "run.jsonl").write_text("\n".join(map(json.dumps, kept)))
    with pytest.raises(InputError, match=r"no figures on held-out cells \(valid_accuracy"):
        pl.learning_curves([silent, model("e")])
