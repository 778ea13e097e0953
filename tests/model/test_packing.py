"""Tables in 8 and 4 bits: what packing keeps, what it rounds, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from annatac.model.packing import pack, packed, rounded, table_bits, unpack, unpacked


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("n_columns", [1, 2, 7])
def test_each_number_becomes_its_columns_nearest_value(bits, n_columns):
    table = torch.from_numpy(np.random.default_rng(0).standard_t(3, (3000, n_columns)).astype(np.float32))
    codes, values = pack(table, bits)
    assert codes.shape == (3000, n_columns if bits == 8 else (n_columns + 1) // 2)
    assert codes.dtype == torch.uint8
    assert values.shape == (n_columns, 2**bits)
    nearest = (table[:, :, None] - values[None]).abs().amin(2)
    got = unpack(codes, values)
    torch.testing.assert_close((got - table).abs(), nearest)
    # the best 16 values of a normal column leave 1 % of its variance (Max 1960); heavy tails cost more
    assert (got - table).var() < (0.05 if bits == 4 else 0.002) * table.var()


def test_two_columns_share_a_byte():
    codes, values = pack(torch.tensor([[1.0, 5.0, 3.0], [2.0, 4.0, 3.0]]), 4)
    # column 0 in the low half, column 1 in the high one; values ascend and the last is repeated
    assert codes.tolist() == [[0 | 1 << 4, 0], [1 | 0 << 4, 0]]
    assert values[:, :2].tolist() == [[1, 2], [4, 5], [3, 3]]


@pytest.mark.parametrize("bits", [4, 8])
def test_packing_twice_changes_nothing(bits):
    table = torch.from_numpy(np.random.default_rng(1).normal(size=(4000, 3)).astype(np.float32))
    once = rounded(table, bits)
    assert torch.equal(rounded(once, bits), once)
    assert all(
        torch.equal(a, b) for a, b in zip(pack(once, bits), pack(rounded(once, bits), bits), strict=True)
    )


def test_odd_tables():
    assert rounded(torch.zeros(5, 2), 4).tolist() == [[0, 0]] * 5
    assert rounded(torch.zeros(0, 2), 4).shape == (0, 2)
    assert rounded(torch.tensor([[-3.5]]), 8).tolist() == [[-3.5]]


def test_named_tensors():
    tensors = {"a": torch.arange(6.0).view(3, 2), "b": torch.ones(2)}
    stored = packed(tensors, {"a": 4, "absent": 8})
    assert sorted(stored) == ["a.codes", "a.values", "b"]
    again = unpacked(stored)
    assert sorted(again) == ["a", "b"]
    assert torch.equal(again["a"], tensors["a"])
    with pytest.raises(ValueError, match=r"a\.codes and a\.values do not fit each other"):
        unpacked({**stored, "a.codes": torch.zeros(3, 2, dtype=torch.uint8)})


def test_large_universes_take_half():
    assert table_bits(99_999) == 8
    assert table_bits(250_000) == 4
