"""The budget of islands: those that tell types apart stay, whatever the batch, and only for the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from annatac.config import ModelConfig
from annatac.errors import ConfigError
from annatac.model import Network

SPREAD = [0.1, 0.9, 0.5, 0.7, 0.3, 0.8, 0.4, 0.6]  # of the ratios of islands 0 to 7
TELLING = [1, 5, 3, 7, 2, 6, 4, 0]


@pytest.fixture
def network(settings, lively):
    """A network of 8 islands, 3 of a cell in its budget."""

    def make(max_open=3, **changes):
        made = lively(Network(len(SPREAD), 2, settings(max_open=max_open, **{"wide": True, **changes})))
        if made.wide is not None:
            made.wide.profile.copy_(torch.tensor(SPREAD)[:, None] * torch.tensor([1.0, -1.0]))
            made.wide.linear.copy_(torch.randn(len(SPREAD), 2, generator=torch.Generator().manual_seed(0)))
        made.rank_islands()
        return made

    return make


def seen_islands(network, batch):
    tokens = network.seen(batch)
    return [sorted(cell[real].tolist()) for cell, real in zip(tokens.islands_BN, tokens.real_BN, strict=True)]


def encoder_logits(network, batch):
    return network(batch).logits_BC - network.wide(batch)


def test_the_islands_that_tell_types_apart_stay(network, cells):
    batch = cells([[0, 1, 2, 3, 4], [0, 4], [7, 6, 5, 4], []])
    assert seen_islands(network(), batch) == [[1, 2, 3], [0, 4], [5, 6, 7], []]
    tokens = network().seen(batch)
    assert tokens.n_open_B.tolist() == [3, 2, 3, 1]
    own = tokens.classes_BN[tokens.real_BN]
    assert torch.equal(own, 1 + tokens.islands_BN[tokens.real_BN] % 5)  # each class with its island


@pytest.mark.parametrize("max_open", [0, 5, 8])
def test_a_batch_within_the_budget_is_left_as_it_is(network, cells, max_open):
    batch = cells([[4, 1, 2, 3, 0], [6]])
    assert network(max_open).seen(batch) is batch


def test_no_budget_without_profiles_or_where_closed_islands_are_tokens(network, cells):
    batch = cells([[0, 1, 2, 3, 4]])
    assert network(closed="keep").seen(batch).islands_BN.shape == (1, len(SPREAD))
    assert network(wide=False).seen(batch) is batch


def test_the_encoder_sees_a_deep_cell_as_the_cell_of_its_telling_islands(network, cells):
    made = network()
    deep, few, other = (encoder_logits(made, cells([one])) for one in (TELLING, TELLING[:3], TELLING[2:5]))
    assert torch.allclose(deep, few, atol=1e-5)
    assert not torch.allclose(deep, other, atol=1e-3)


def test_the_wide_path_sees_all(network, cells):
    made = network()
    with torch.no_grad():  # silence the encoder's part
        made.head.types.weight.zero_()
        made.head.types.bias.zero_()
    deep, few = (made(cells([one])).logits_BC for one in (TELLING, TELLING[:3]))
    assert torch.allclose(deep, made.wide(cells([TELLING])))
    assert not torch.allclose(deep, few, atol=1e-3)


def test_cells_do_not_depend_on_their_batch(network, cells):
    made, lists = network(), [[0, 1, 2, 3, 4, 5, 6, 7], [4, 5], [2, 6, 7, 0]]
    together = made(cells(lists))
    for i, one in enumerate(lists):
        assert torch.allclose(made(cells([one])).logits_BC[0], together.logits_BC[i], atol=1e-5)


def test_islands_that_tell_alike_have_an_order_of_their_own(settings, cells):
    network = Network(1000, 2, settings(max_open=10, wide=True))
    network.rank_islands()  # all profiles are zero
    order = np.random.default_rng(1).permutation(1000).tolist()
    forwards, backwards = (seen_islands(network, cells([one]))[0] for one in (order, order[::-1]))
    assert forwards == backwards
    assert np.ptp(forwards) > 500  # not all of one end of the genome


def test_the_budget_is_part_of_no_weights(network):
    assert not any("budget" in name for name in network().state_dict())


def test_a_budget_under_zero_is_refused():
    with pytest.raises(ConfigError, match="max_open is -1; at least 0"):
        ModelConfig(max_open=-1)
