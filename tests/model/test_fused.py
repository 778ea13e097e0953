"""The encoder by one kernel a block: equal to its plain form. Without a GPU the kernels are interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from annatac.config import ModelConfig
from annatac.model.encoder import Encoder
from annatac.model.tokens import TokenBatch

pytest.importorskip(
    "triton", reason="Triton is not installed: it comes with PyTorch for a GPU, or with annatac[dev] on Linux"
)
ON_GPU = torch.cuda.is_available()
SHAPES = {
    "default": {"width": 48, "k": 32, "feed_forward": 96, "n_heads": 2, "head_dim": 24, "depth": 1},
    "large": {"width": 192, "k": 64, "feed_forward": 768, "n_heads": 4, "head_dim": 64, "depth": 2},
    "a power of two": {"width": 64, "k": 16, "feed_forward": 48, "n_heads": 1, "head_dim": 64, "depth": 3},
}


@pytest.fixture
def fused() -> Any:
    from annatac.model import fused

    return fused


def encoder_of(**settings: Any) -> Encoder:
    """Return one whose weights are far from those it starts with, so that attention attends to something."""
    torch.manual_seed(0)
    encoder = Encoder(300, ModelConfig(position_dim=32, **settings))
    for weights in encoder.parameters():
        torch.nn.init.normal_(weights, std=0.15)
    return encoder.to("cuda" if ON_GPU else "cpu")


def batch_of(lengths: list[int]) -> TokenBatch:
    random = np.random.default_rng(0)
    shape = len(lengths), max(lengths)
    real = torch.from_numpy(np.arange(shape[1]) < np.array(lengths)[:, None])
    islands = torch.from_numpy(random.integers(300, size=shape)) * real
    classes = torch.from_numpy(random.integers(1, 6, size=shape)) * real
    batch = TokenBatch(islands, classes, real, torch.tensor(lengths).float())
    return batch.to("cuda" if ON_GPU else "cpu")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sharing", ["all", "layer"])
def test_kernels_give_what_the_plain_form_gives(fused, shape, sharing):
    encoder = encoder_of(projection_sharing=sharing, **SHAPES[shape])
    assert fused.FusedEncoder.fits(encoder)
    batch = batch_of([37, 12, 1, 33])
    with torch.no_grad():
        wanted, vectors = encoder(batch)
        dtype = torch.bfloat16 if ON_GPU else torch.float32
        got, got_vectors = fused.FusedEncoder(encoder, dtype)(batch)
    assert torch.equal(vectors, got_vectors)
    # GELU by its tanh form is within 5e-4; bfloat16 keeps eight bits
    error = (got.float() - wanted)[batch.real_BN].norm() / wanted[batch.real_BN].norm()
    assert error < (0.02 if ON_GPU else 1e-3)
    assert error > 0  # it is another computation


def test_more_tokens_than_a_program_holds(fused):
    encoder = encoder_of(**SHAPES["default"])
    batch = batch_of([fused.BLOCK + 5, 2 * fused.BLOCK])
    with torch.no_grad():
        wanted, _ = encoder(batch)
        got, _ = fused.FusedEncoder(encoder, torch.bfloat16 if ON_GPU else torch.float32)(batch)
    close = 0.2 if ON_GPU else 2e-3
    torch.testing.assert_close(got.float()[batch.real_BN], wanted[batch.real_BN], atol=close, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 40},
        {"k": 48},
        {"feed_forward": 100},
        {"projection_sharing": "head"},
        {"thin": False, "width": 32},
    ],
)
def test_what_cannot_be_cut_into_tiles_is_refused(fused, change):
    assert not fused.FusedEncoder.fits(encoder_of(**(SHAPES["default"] | change)))
