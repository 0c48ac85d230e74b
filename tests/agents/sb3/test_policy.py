"""The loops around a forward pass: every row is computed once, and none is mistaken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from powerseek.agents.sb3.policy import distinct_observations, softmax

FEW = st.sampled_from([0.0, -0.0, 1.0, np.inf, np.nan, 1e-45])
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 5))


@settings(max_examples=200)
@given(arrays(np.float32, SHAPES, elements=FEW.map(np.float32)))
def test_rows_are_told_apart_bit_by_bit(rows):
    first, which = distinct_observations(rows)
    texts = [row.tobytes() for row in rows]
    order = list(dict.fromkeys(texts))
    assert first.tolist() == [texts.index(text) for text in order]
    assert which.tolist() == [order.index(text) for text in texts]


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 5000])
@pytest.mark.parametrize("kinds", [1, 60, 10**9])
def test_many_rows_are_told_apart(n, kinds):
    """Also rows that differ in one bit only, and that are no block of memory."""
    numbers = np.random.default_rng(n).integers(kinds, size=n).astype(np.uint32)
    rows = np.zeros((n, 14), np.float32)[:, ::2]
    rows[:, 5] = numbers.view(np.float32)
    first, which = distinct_observations(rows)
    assert np.array_equal(rows[first][which], rows)
    assert len(first) == len(np.unique(numbers))


@pytest.mark.parametrize("top", [0.0, 700.0, -1e30, 3e38])
def test_weights_of_known_logits(top):
    """Two kinds of rows, shown in another order than they were computed in."""
    logits = np.array([[top, top, top], [top, -np.inf, top]], np.float32)
    masks = np.array([[True, True, False], [True, True, True], [False, True, True]])
    which = np.array([1, 0, 0])
    legal = softmax(logits, which, masks, True)
    assert legal.tolist() == [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0, 0.5, 0.5]]
    assert softmax(logits, which, masks, False)[2].tolist() == [1 / 3, 1 / 3, 1 / 3]
