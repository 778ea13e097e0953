"""Small networks and cells for the tests of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from annatac.config import ModelConfig
from annatac.model import Network, TokenBatch

SMALL: dict[str, Any] = {
    "depth": 2, "width": 12, "n_heads": 3, "head_dim": 5, "k": 4, "feed_forward": 20, "position_dim": 6,
    "head_hidden": (9, 7), "dropout": 0.0, "wide": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    """Small tensors gain nothing from threads; random weights must not depend on the tests before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def settings() -> Callable[..., ModelConfig]:
    """``settings(**changes)``: the shape of a small network; a dense one has position vectors of its width."""

    def make(**changes: Any) -> ModelConfig:
        own = {} if changes.get("thin", True) else {"position_dim": changes.get("width", SMALL["width"])}
        return ModelConfig(**(SMALL | own | changes))

    return make


@pytest.fixture(scope="session")
def cells() -> Callable[[Sequence[Sequence[int]]], TokenBatch]:
    """``cells([[islands of cell 1], [...]])``: a padded batch; classes 1..5 follow from the islands."""

    def make(islands: Sequence[Sequence[int]]) -> TokenBatch:
        width = max(1, *(len(cell) for cell in islands))
        batch = TokenBatch(
            islands_BN=torch.zeros(len(islands), width, dtype=torch.int64),
            classes_BN=torch.zeros(len(islands), width, dtype=torch.int64),
            real_BN=torch.zeros(len(islands), width, dtype=torch.bool),
            n_open_B=torch.tensor([max(len(cell), 1) for cell in islands], dtype=torch.float32),
        )
        for row, cell in enumerate(islands):
            batch.islands_BN[row, : len(cell)] = torch.tensor(cell, dtype=torch.int64)
            batch.classes_BN[row, : len(cell)] = 1 + torch.tensor(cell, dtype=torch.int64) % 5
            batch.real_BN[row, : len(cell)] = True
        return batch

    return make


@pytest.fixture(scope="session")
def lively() -> Callable[[Network], Network]:
    """``lively(network)``: no weight or bias zero, so that every part shows in the output."""

    def make(network: Network) -> Network:
        random = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=random)
        return network.eval()

    return make
