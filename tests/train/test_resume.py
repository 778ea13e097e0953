"""Ctrl-C leaves a usable checkpoint; a resumed run ends as an uninterrupted one, to the bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import annatac
from annatac.errors import DamagedFileError, Interrupted, ModelError, OutputError
from annatac.train.checkpoint import FILE
from annatac.train.finetune import FinetuneTask
from annatac.train.pretraining import PretrainTask
from annatac.train.runlog import read_run_log

SAME = ("model.safetensors", "metrics.json", "islands.tsv.gz", "labels.json", "training.yaml", "README.md")


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


@pytest.fixture
def recipe(debug):
    """Three epochs of 7 steps, with dropout and thinning: every random stream is in use."""
    return debug(epochs=3, batch_size=8, accumulate=2, patience=9, dropout=0.4)


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(Task, n)``: a real Ctrl-C (SIGINT) in the n-th batch; ``interrupt(Task, None)``: none."""

    def at(task: type, n: int | None) -> None:
        monkeypatch.undo()
        if n is None:
            return
        original, calls = task.loss, []

        def loss(self, asked):
            calls.append(asked)
            if len(calls) == n:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, asked)

        monkeypatch.setattr(task, "loss", loss)

    return at


def fit(adata, output, recipe, **options):
    return annatac.finetune(adata, label_key="cell_type", output=output, recipe=recipe, **options)


@pytest.mark.parametrize("moments", [[14], [3, 9], [14 * 3]], ids=str)
def test_interrupted_finetuning_ends_the_same(reference, recipe, tmp_path, interrupt, moments):
    """In mid-epoch, at an epoch's end, twice, and in the very last step."""
    fit(reference, tmp_path / "whole", recipe)
    resume = False
    for n in moments:
        interrupt(FinetuneTask, n)
        with pytest.raises(Interrupted, match=r"Stopped in epoch \d of 3.*--resume") as caught:
            fit(reference, tmp_path / "parts", recipe, resume=resume)
        assert caught.value.exit_code == 130
        assert not (tmp_path / "parts").exists(), "no half-made model"
        assert (tmp_path / "parts.run" / FILE).is_file()
        resume = True
    interrupt(FinetuneTask, None)
    fit(reference, tmp_path / "parts", recipe, resume=True)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    assert not (tmp_path / "parts.run").exists()
    events = read_run_log(tmp_path / "parts" / "run.jsonl")
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [0, 1, 2]
    assert [e["event"] for e in events].count("interrupt") == len(moments)
    whole = [e for e in read_run_log(tmp_path / "whole" / "run.jsonl") if e["event"] == "epoch"]
    parts = [e for e in events if e["event"] == "epoch"]
    for a, b in zip(whole, parts, strict=True):
        assert a["train_loss"] == b["train_loss"]
        assert a["valid_loss"] == b["valid_loss"]


def test_interrupted_pretraining_ends_the_same(reference, recipe, tmp_path, interrupt):
    annatac.pretrain(reference, output=tmp_path / "whole", recipe=recipe)
    interrupt(PretrainTask, 9)
    with pytest.raises(Interrupted):
        annatac.pretrain(reference, output=tmp_path / "parts", recipe=recipe)
    interrupt(PretrainTask, None)
    annatac.pretrain(reference, output=tmp_path / "parts", recipe=recipe, resume=True)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_the_same_seed_gives_the_same_bytes(reference, recipe, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        fit(reference, tmp_path / name, recipe, seed=seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ac"]
    assert weights[0] != weights[1]


def test_ctrl_c_is_handed_back_after_training(reference, recipe, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    fit(reference, tmp_path / "model", recipe)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def stopped(reference, recipe, tmp_path, interrupt):
    """A run that was stopped in its second epoch."""
    interrupt(FinetuneTask, 16)
    with pytest.raises(Interrupted):
        fit(reference, tmp_path / "model", recipe)
    interrupt(FinetuneTask, None)
    return tmp_path / "model"


def _other_counts(adata):
    adata.X.data[:50] += 3


def _other_labels(adata):
    labels = adata.obs["cell_type"].to_numpy().copy()
    labels[[0, 1]] = next(label for label in np.unique(labels) if label not in labels[[0, 1]])
    adata.obs["cell_type"] = labels


@pytest.mark.parametrize("change", [_other_counts, _other_labels])
def test_a_checkpoint_of_other_cells_is_refused(reference, recipe, stopped, change):
    change(reference)
    kept = (stopped.with_name("model.run") / FILE).read_bytes()
    with pytest.raises(ModelError, match=r"checkpoint.safetensors belongs to a run with other cells, labels"):
        fit(reference, stopped, recipe, resume=True)
    assert (stopped.with_name("model.run") / FILE).read_bytes() == kept, "it is not lost by the mistake"
    assert not stopped.exists()


@pytest.mark.parametrize("options", [{"seed": 1}, {"batch_key": "donor"}])
def test_a_checkpoint_of_other_options_is_refused(reference, recipe, stopped, options):
    with pytest.raises(ModelError, match="other cells, labels, recipe or seed"):
        fit(reference, stopped, recipe, resume=True, **options)


def test_a_checkpoint_from_another_base_is_refused(reference, recipe, stopped, tmp_path):
    base = annatac.pretrain(reference, output=tmp_path / "base", recipe=recipe)
    with pytest.raises(ModelError, match="other cells, labels, recipe or seed"):
        fit(reference, stopped, recipe, resume=True, base=base)


def test_a_checkpoint_of_another_recipe_is_refused(reference, debug, stopped):
    with pytest.raises(ModelError, match="other cells, labels, recipe or seed"):
        fit(reference, stopped, debug(epochs=4), resume=True)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_named(reference, recipe, stopped, damage):
    path = stopped.with_name("model.run") / FILE
    if damage == "foreign":  # tensors, but of no checkpoint
        from safetensors.numpy import save_file

        save_file({"a": np.zeros(3)}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"x" * 99}[damage])
    with pytest.raises(DamagedFileError, match=r"checkpoint.safetensors is no usable checkpoint.*--resume"):
        fit(reference, stopped, recipe, resume=True)


def test_nothing_to_resume(reference, recipe, tmp_path):
    with pytest.raises(ModelError, match=r"Nothing to resume.*Start without --resume"):
        fit(reference, tmp_path / "model", recipe, resume=True)
    assert not list(tmp_path.iterdir())


def test_a_fresh_start_forgets_the_checkpoint(reference, recipe, stopped, tmp_path):
    fit(reference, stopped, recipe)
    fit(reference, tmp_path / "other", recipe)
    assert content(stopped) == content(tmp_path / "other")


def test_an_existing_model_is_refused_before_training(reference, recipe, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(OutputError, match=r"exists already. Pass --overwrite"):
        fit(reference, tmp_path / "model", recipe)
    fit(reference, tmp_path / "model", recipe, overwrite=True)
    assert (tmp_path / "model" / "config.json").is_file()
