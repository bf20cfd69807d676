"""The largest pre-activations in one walk, against torch's four."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atlas.largest import BLOCK, largest_positive


def by_torch(products, bias, scale, k):
    """Return row, index and value as an encoder of four walks finds them."""
    hidden = (torch.from_numpy(products) + torch.from_numpy(bias)) * torch.from_numpy(scale)
    value, index = hidden.topk(min(k, hidden.shape[1]), dim=-1)
    dense = torch.zeros_like(hidden).scatter_(-1, index, value.relu())
    row, index = dense.nonzero(as_tuple=True)
    return row.numpy(), index.numpy(), dense[row, index].numpy()


@given(
    st.integers(0, 9),
    st.sampled_from([1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 900]),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_same_codes_as_torch_to_the_last_bit(rows, size, k, seed):
    rng = np.random.default_rng(seed)
    products = rng.standard_normal((rows, size)).astype(np.float32)
    bias = rng.normal(rng.choice([-3.0, 0.0, 3.0]), 1, size).astype(np.float32)
    scale = rng.uniform(0.1, 2, size).astype(np.float32)
    found = largest_positive(products, bias, scale, k=k)
    for mine, theirs in zip(found, by_torch(products, bias, scale, k), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_of_equal_ones_the_lower_latents_are_taken(k, seed):
    rng = np.random.default_rng(seed)
    products = rng.integers(-2, 4, (3, 500)).astype(np.float32)
    nothing, one = np.zeros(500, np.float32), np.ones(500, np.float32)
    row, index, value = largest_positive(products, nothing, one, k=k)
    for r in range(3):
        order = np.lexsort((np.arange(500), -products[r]))[:k]
        wanted = np.sort(order[products[r, order] > 0])
        np.testing.assert_array_equal(index[row == r], wanted)
        np.testing.assert_array_equal(value[row == r], products[r, wanted])


@pytest.mark.parametrize("ascending", [True, False])
def test_sorted_rows_fill_and_empty_the_buffer_most_often(ascending):
    line = np.arange(1, 4001, dtype=np.float32)[None]
    products = line if ascending else line[:, ::-1].copy()
    nothing, one = np.zeros(4000, np.float32), np.ones(4000, np.float32)
    _, index, value = largest_positive(products, nothing, one, k=16)
    assert sorted(value.tolist()) == list(range(3985, 4001))
    assert index.tolist() == list(range(3984, 4000) if ascending else range(16))
