"""Training and naming cells in bfloat16: near float32, the same when resumed, refused where it is emulated."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import annatac
from annatac.config import FinetuneConfig
from annatac.errors import ConfigError, Interrupted, ModelError
from annatac.model import artifact
from annatac.train.checkpoint import FILE
from annatac.train.device import COMPILE_FROM, choose_precision, compiling_pays, has_fast_bf16
from annatac.train.pretraining import PretrainTask
from annatac.train.runlog import read_run_log

CPU = torch.device("cpu")


@pytest.fixture
def fast(monkeypatch):
    """A machine that multiplies in bfloat16; where it does not, PyTorch emulates it with the same results."""
    monkeypatch.setattr("annatac.train.device.has_fast_bf16", lambda device: True)


def losses(model) -> list[float]:
    return [event["train_loss"] for event in read_run_log(model / "run.jsonl") if event["event"] == "epoch"]


@pytest.mark.usefixtures("fast")
def test_losses_are_near_those_of_float32(reference, debug, tmp_path):
    for name in ("float32", "bf16"):
        recipe = debug(epochs=2, batch_size=24, precision=name)
        fine = tmp_path / f"fine-{name}"
        annatac.finetune(reference, label_key="cell_type", output=fine, recipe=recipe)
        annatac.pretrain(reference, output=tmp_path / f"base-{name}", recipe=recipe)
        made = artifact.load(fine)
        assert made.training["precision"] == name
        assert {value.dtype for value in made.network.state_dict().values()} <= {torch.float32, torch.int64}
        assert made.network.encoder_dtype == torch.float32
    for kind in ("fine", "base"):
        exact, mixed = losses(tmp_path / f"{kind}-float32"), losses(tmp_path / f"{kind}-bf16")
        assert exact != mixed
        np.testing.assert_allclose(exact, mixed, rtol=0.02)
    calls = [
        annatac.tl.annotate(reference, tmp_path / "fine-bf16", precision=name, copy=True)
        for name in ("float32", "bf16", "float32")
    ]
    probabilities = [call.obsm["annatac_probabilities"] for call in calls]
    assert np.array_equal(probabilities[0], probabilities[2])
    assert 0 < np.abs(probabilities[0] - probabilities[1]).max() < 0.05


@pytest.mark.usefixtures("fast")
def test_a_run_in_bfloat16_is_resumed_to_the_bit_and_not_in_another_precision(
    reference, debug, tmp_path, monkeypatch
):
    recipe = debug(epochs=2, batch_size=16, precision="bf16")
    annatac.pretrain(reference, output=tmp_path / "whole", recipe=recipe)
    original, calls = PretrainTask.loss, []

    def loss(self, asked):
        calls.append(asked)
        if len(calls) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, asked)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainTask, "loss", loss)
        with pytest.raises(Interrupted):
            annatac.pretrain(reference, output=tmp_path / "parts", recipe=recipe)
    states = load_file(tmp_path / "parts.run" / FILE)
    optimiser = [value for name, value in states.items() if name.startswith("optimizer.")]
    assert {value.dtype for value in optimiser} == {torch.float32}, "Adam keeps float32"
    with pytest.raises(ModelError, match="other cells, labels, recipe or seed"):
        annatac.pretrain(
            reference, output=tmp_path / "parts", recipe=debug(epochs=2, batch_size=16), resume=True
        )
    annatac.pretrain(reference, output=tmp_path / "parts", recipe=recipe, resume=True)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_it_is_refused_where_it_would_be_emulated(reference, debug, tmp_path, monkeypatch):
    monkeypatch.setattr("annatac.train.device.has_fast_bf16", lambda device: False)
    with pytest.raises(
        ConfigError, match=r"processor of this machine does not multiply in bfloat16.*--precision float32"
    ):
        annatac.finetune(
            reference, label_key="cell_type", output=tmp_path / "m", recipe=debug(precision="bf16")
        )
    assert not (tmp_path / "m").exists()
    with pytest.raises(ConfigError, match="No precision 'half': auto, float32 or bf16"):
        choose_precision("half", CPU)
    with pytest.raises(ConfigError, match="precision is 'half'"):
        annatac.config.from_dict(FinetuneConfig, {"precision": "half"}, where="x")


@pytest.mark.parametrize(
    ("capability", "wanted"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_auto_asks_the_gpu(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu = torch.device("cuda:0")
    assert choose_precision("auto", gpu) == wanted
    assert choose_precision("float32", gpu) == torch.float32
    if wanted == torch.float32:
        with pytest.raises(ConfigError, match="GPU of this machine does not multiply in bfloat16"):
            choose_precision("bf16", gpu)


def test_auto_is_float32_on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert has_fast_bf16(CPU)
    assert choose_precision("auto", CPU) == torch.float32
    assert choose_precision("bf16", CPU) == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not has_fast_bf16(CPU)
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # an older PyTorch
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert has_fast_bf16(CPU)
    assert not has_fast_bf16(torch.device("mps"))


def test_when_compiling_pays(monkeypatch):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if name == "gcc" else None)
    assert compiling_pays(gpu, COMPILE_FROM)
    assert not compiling_pays(gpu, COMPILE_FROM - 1)
    assert not compiling_pays(cpu, COMPILE_FROM)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not compiling_pays(gpu, COMPILE_FROM)
