"""Products and activations in vector registers, against NumPy in double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerseek.agents.cohort import loss as cohort_loss
from powerseek.agents.cohort.simd import (
    CHUNK,
    LANES,
    ROWS,
    SOURCE,
    _tanh,
    add_product,
    bias_of,
    layout,
    padded_width,
    weights_of,
)


def numbers(generator, *shape):
    return generator.normal(size=shape).astype(np.float32)


@given(
    st.integers(1, 5),
    st.integers(0, 80),
    st.integers(1, 5),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_product_is_added_and_nothing_else_is_touched(
    tiles, inner, lanes, beyond, transposed, seed
):
    generator = np.random.default_rng(seed)
    rows, columns = tiles * ROWS, lanes * LANES
    x = numbers(generator, inner, rows).T if transposed else numbers(generator, rows, inner)
    w = numbers(generator, inner + beyond, columns + beyond)
    out = numbers(generator, rows + beyond, columns + beyond)
    expected = out.astype(np.float64)
    expected[:rows, :columns] += x.astype(np.float64) @ w[:inner, :columns].astype(np.float64)
    aside = out.copy()
    add_product(x, w, out, rows, inner, columns)
    assert np.allclose(out[:rows, :columns], expected[:rows, :columns], atol=1e-5)
    aside[:rows, :columns] = out[:rows, :columns]
    assert np.array_equal(out, aside)


def test_a_product_s_bits_do_not_depend_on_where_arrays_lie():
    generator = np.random.default_rng(0)
    x, w = numbers(generator, 16, 23), numbers(generator, 23, 48)
    found = []
    for shift in range(0, 17, 4):
        raw = np.zeros(16 * 48 + 17, np.float32)
        out = raw[shift : shift + 16 * 48].reshape(16, 48)
        moved = np.zeros(x.size + 17, np.float32)[shift : shift + x.size].reshape(x.shape)
        moved[:] = x
        add_product(moved, w, out, 16, 23, 48)
        found.append(out.copy())
    assert all(np.array_equal(out, found[0]) for out in found)


def test_tanh_is_right_to_single_precision():
    x = np.concatenate([np.linspace(-12, 12, 100_001), [1e-20, -1e-8, 1e30, -1e30]])
    x = x.astype(np.float32)
    found, expected = np.array([_tanh(y) for y in x]), np.tanh(x.astype(np.float64))
    assert (np.abs(found - expected) <= 5e-7 * np.abs(expected)).all()
    assert (np.abs(found) <= 1).all()
    assert np.array_equal(found[: 100_001 // 2], -found[100_001 // 2 + 1 : 100_001][::-1])
    assert [_tanh(np.float32(y)) for y in (np.inf, -np.inf)] == pytest.approx([1, -1], abs=1e-6)
    assert np.isnan(_tanh(np.float32(np.nan)))


@given(st.lists(st.integers(1, 90), min_size=2, max_size=5), st.integers(0, 40))
def test_layers_lie_side_by_side(widths, start):
    layers, end = layout(widths, start)
    activations = np.zeros(end, np.int64)
    for layer, inputs, outputs in zip(layers, widths[:-1], widths[1:], strict=True):
        weights, bias = weights_of(activations, layer), bias_of(activations, layer)
        assert weights.shape == (padded_width(inputs), padded_width(outputs))
        assert bias.shape == (padded_width(outputs),)
        weights += 1
        bias += 1
    assert (activations[:start] == 0).all()
    assert (activations[start:] == 1).all()
    assert CHUNK % ROWS == 0


def test_loops_on_disk_know_the_lanes_they_were_compiled_from():
    for loop in (cohort_loss.evaluate, cohort_loss.gradient):
        assert SOURCE in [cell.cell_contents for cell in loop.py_func.__closure__]
