"""Small neural networks on one core: matrix products in vector registers, layer by layer.

Libraries of linear algebra choose their kernel by the processor's maker and reach half of what the
registers can do here; and a network this small costs as much in calls as in products. These loops
hold a tile of 8 x 32 sums in registers; Numba compiles them for the processor at hand. Sums run in
one order whatever else is done and wherever an array lies.

A network is a flat vector and a table of its layers, see `layout`. All widths are padded with
zeros to whole lanes, rows to whole tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.cgutils
import numpy as np
from numba.core import types
from numba.extending import models, register_model

from powerseek.types import Ints

LANES = 16
"""Numbers of single precision in a vector register of 64 bytes; shorter ones take them in parts."""
ROWS = 8
"""Rows of a tile; 8 x 2 registers of sums are what 32 registers leave room for."""
CHUNK = 64
"""Rows that pass through a network together: their activations stay in the first-level cache."""

Loop = TypeVar("Loop", bound=Callable[..., Any])
_cgutils: Any = numba.core.cgutils  # it has no types
ir: Any = _cgutils.ir


def _intrinsic(function: Any) -> Any:
    """Decorator: a call of `function` is translated to what it returns."""
    return numba.extending.intrinsic(function)


def _loop(function: Loop) -> Loop:
    # Products and sums may be contracted, never reordered.
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(function)
    return cast(Loop, compiled)


SOURCE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""Changes with this file: what is compiled from it and kept on disk must know."""


@_loop
def padded_width(count: int, to: int = LANES) -> int:
    """`count` rounded up to a multiple of `to`."""
    return (count + to - 1) // to * to


def layout(widths: Sequence[int], start: int = 0) -> tuple[Ints, int]:
    """Places of the layers of a network with `widths` (inputs first) in a flat vector.

    Returns:
        [L, 3] per layer: its offset, inputs, outputs; and the offset behind the last. At an
        offset lie the weights [padded inputs, padded outputs], then the bias [padded outputs].
    """
    rows = []
    for inputs, outputs in pairwise(widths):
        rows.append((start, inputs, outputs))
        start += (padded_width(inputs) + 1) * padded_width(outputs)
    return np.array(rows, np.int64), start


# --- a vector register ------------------------------------------------------------------------

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]  # it has no types


def _address(context: Any, builder: Any, kind: Any, values: Any) -> Any:
    """Of array[i, j], as that of a vector."""
    array = context.make_array(kind)(context, builder, values[0])
    strides = _cgutils.unpack_tuple(builder, array.strides, 2)
    width = ir.Constant(values[2].type, 4)
    offset = builder.add(builder.mul(values[1], strides[0]), builder.mul(values[2], width))
    start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
    return builder.bitcast(builder.gep(start, [offset]), _VECTOR.as_pointer())


@_intrinsic
def _load(_: Any, array: Any, i: Any, j: Any) -> Any:
    """array[i, j : j + LANES]."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], values), align=4)

    return _lanes(array, types.intp, types.intp), generate


@_intrinsic
def _store(_: Any, array: Any, i: Any, j: Any, vector: Any) -> Any:
    """array[i, j : j + LANES] = vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[3], _address(context, builder, signature.args[0], values), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, _lanes), generate


@_intrinsic
def _fma(_: Any, factor: Any, vector: Any, added: Any) -> Any:
    """Product of one number and a vector, plus a vector, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        factors = builder.shuffle_vector(first, nothing, everywhere)
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        fused = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        return builder.call(fused, [factors, values[1], values[2]])

    return _lanes(types.float32, _lanes, _lanes), generate


# --- products ---------------------------------------------------------------------------------


@_loop
def add_product(x: Any, w: Any, out: Any, rows: int, inner: int, columns: int) -> None:
    """out[:rows, :columns] += x[:rows, :inner] @ w[:inner, :columns].

    Args:
        x: Single precision, any strides.
        w: Rows contiguous.
        out: Likewise.
        rows: A multiple of `ROWS`.
        inner: Any number.
        columns: A multiple of `LANES`.
    """
    wide = columns - columns % (2 * LANES)
    for j in range(0, wide, 2 * LANES):
        for i in range(0, rows, ROWS):
            _add_tile(x, w, out, i, j, inner)
    if wide < columns:
        for i in range(0, rows, ROWS):
            _add_narrow_tile(x, w, out, i, wide, inner)


@_loop
def _add_tile(x: Any, w: Any, out: Any, i: int, j: int, inner: int) -> None:
    """Eight rows, two vectors."""
    n = j + LANES
    a0, b0 = _load(out, i, j), _load(out, i, n)
    a1, b1 = _load(out, i + 1, j), _load(out, i + 1, n)
    a2, b2 = _load(out, i + 2, j), _load(out, i + 2, n)
    a3, b3 = _load(out, i + 3, j), _load(out, i + 3, n)
    a4, b4 = _load(out, i + 4, j), _load(out, i + 4, n)
    a5, b5 = _load(out, i + 5, j), _load(out, i + 5, n)
    a6, b6 = _load(out, i + 6, j), _load(out, i + 6, n)
    a7, b7 = _load(out, i + 7, j), _load(out, i + 7, n)
    for k in range(inner):
        u, v = _load(w, k, j), _load(w, k, n)
        a0, b0 = _fma(x[i, k], u, a0), _fma(x[i, k], v, b0)
        a1, b1 = _fma(x[i + 1, k], u, a1), _fma(x[i + 1, k], v, b1)
        a2, b2 = _fma(x[i + 2, k], u, a2), _fma(x[i + 2, k], v, b2)
        a3, b3 = _fma(x[i + 3, k], u, a3), _fma(x[i + 3, k], v, b3)
        a4, b4 = _fma(x[i + 4, k], u, a4), _fma(x[i + 4, k], v, b4)
        a5, b5 = _fma(x[i + 5, k], u, a5), _fma(x[i + 5, k], v, b5)
        a6, b6 = _fma(x[i + 6, k], u, a6), _fma(x[i + 6, k], v, b6)
        a7, b7 = _fma(x[i + 7, k], u, a7), _fma(x[i + 7, k], v, b7)
    _store(out, i, j, a0), _store(out, i, n, b0)
    _store(out, i + 1, j, a1), _store(out, i + 1, n, b1)
    _store(out, i + 2, j, a2), _store(out, i + 2, n, b2)
    _store(out, i + 3, j, a3), _store(out, i + 3, n, b3)
    _store(out, i + 4, j, a4), _store(out, i + 4, n, b4)
    _store(out, i + 5, j, a5), _store(out, i + 5, n, b5)
    _store(out, i + 6, j, a6), _store(out, i + 6, n, b6)
    _store(out, i + 7, j, a7), _store(out, i + 7, n, b7)


@_loop
def _add_narrow_tile(x: Any, w: Any, out: Any, i: int, j: int, inner: int) -> None:
    """Eight rows, one vector."""
    a0, a1 = _load(out, i, j), _load(out, i + 1, j)
    a2, a3 = _load(out, i + 2, j), _load(out, i + 3, j)
    a4, a5 = _load(out, i + 4, j), _load(out, i + 5, j)
    a6, a7 = _load(out, i + 6, j), _load(out, i + 7, j)
    for k in range(inner):
        u = _load(w, k, j)
        a0, a1 = _fma(x[i, k], u, a0), _fma(x[i + 1, k], u, a1)
        a2, a3 = _fma(x[i + 2, k], u, a2), _fma(x[i + 3, k], u, a3)
        a4, a5 = _fma(x[i + 4, k], u, a4), _fma(x[i + 5, k], u, a5)
        a6, a7 = _fma(x[i + 6, k], u, a6), _fma(x[i + 7, k], u, a7)
    _store(out, i, j, a0), _store(out, i + 1, j, a1)
    _store(out, i + 2, j, a2), _store(out, i + 3, j, a3)
    _store(out, i + 4, j, a4), _store(out, i + 5, j, a5)
    _store(out, i + 6, j, a6), _store(out, i + 7, j, a7)


# --- layers -----------------------------------------------------------------------------------

_f = np.float32
_MAXIMUM = _f(7.90531110763549805)
_P1, _P3 = _f(4.89352455891786e-03), _f(6.37261928875436e-04)
_P5, _P7 = _f(1.48572235717979e-05), _f(5.12229709037114e-08)
_P9, _P11, _P13 = _f(-8.60467152213735e-11), _f(2.00018790482477e-13), _f(-2.76076847742355e-16)
_Q0, _Q2 = _f(4.89352518554385e-03), _f(2.26843463243900e-03)
_Q4, _Q6 = _f(1.18534705686654e-04), _f(1.19825839466702e-06)
_ONE = _f(1.0)


@_loop
def _tanh(x: Any) -> Any:
    """By Eigen's rational approximation (MathFunctionsImpl.h): right to 3 units in the last place.

    Comparisons are such that what is not a number stays so.
    """
    x = _MAXIMUM if x > _MAXIMUM else x
    x = -_MAXIMUM if x < -_MAXIMUM else x
    y = x * x
    above = x * (_P1 + y * (_P3 + y * (_P5 + y * (_P7 + y * (_P9 + y * (_P11 + y * _P13))))))
    return above / (_Q0 + y * (_Q2 + y * (_Q4 + y * _Q6)))


@_loop
def weights_of(flat: Any, layer: Any) -> Any:
    """[padded inputs, padded outputs]."""
    rows, columns = padded_width(layer[1]), padded_width(layer[2])
    return flat[layer[0] : layer[0] + rows * columns].reshape(rows, columns)


@_loop
def bias_of(flat: Any, layer: Any) -> Any:
    """[padded outputs]."""
    columns = padded_width(layer[2])
    start = layer[0] + padded_width(layer[1]) * columns
    return flat[start : start + columns]


@_loop
def forward(flat: Any, layers: Any, relu: bool, activations: Any, rows: int) -> None:
    """Pass `rows` rows through a network.

    Args:
        flat: Its parameters.
        layers: [L, 3], see `layout`.
        relu: True if its activation is relu; else tanh.
        activations: [L + 1, CHUNK, widest]; the first holds the inputs; written: what every layer
            gives, after its activation.
        rows: A multiple of `ROWS`.
    """
    last = len(layers) - 1
    for k in range(len(layers)):
        weights, bias = weights_of(flat, layers[k]), bias_of(flat, layers[k])
        out, width = activations[k + 1], len(bias)
        for i in range(rows):
            for j in range(width):
                out[i, j] = bias[j]
        add_product(activations[k], weights, out, rows, layers[k, 1], width)
        if k < last and relu:
            for i in range(rows):
                for j in range(width):
                    out[i, j] = _f(0.0) if out[i, j] < _f(0.0) else out[i, j]
        elif k < last:
            for i in range(rows):
                for j in range(width):
                    out[i, j] = _tanh(out[i, j])


@_loop
def transpose(flat: Any, layers: Any, transposed: Any) -> None:
    """Fill `transposed` [L, widest, widest] with the weights of all layers but the first."""
    for k in range(1, len(layers)):
        weights = weights_of(flat, layers[k])
        for j in range(layers[k, 2]):
            for i in range(weights.shape[0]):
                transposed[k, j, i] = weights[i, j]


@_loop
def backward(
    grad: Any, layers: Any, relu: bool, activations: Any, deltas: Any, transposed: Any, rows: int
) -> None:
    """Add to `grad` what `rows` rows give, straight after `forward`.

    Args:
        grad: The gradient of the loss in the parameters, laid out as they are.
        layers: As in `forward`.
        relu: As in `forward`.
        activations: What `forward` left.
        deltas: [L + 1, CHUNK, widest]; the last holds the gradient in what the network gives,
            padding 0; the others are written.
        transposed: What `transpose` left.
        rows: As in `forward`.
    """
    for k in range(len(layers) - 1, -1, -1):
        weights, bias = weights_of(grad, layers[k]), bias_of(grad, layers[k])
        above, below, width = deltas[k + 1], activations[k], len(bias)
        for i in range(rows):
            for j in range(width):
                bias[j] += above[i, j]
        add_product(below.T, above, weights, padded_width(layers[k, 1], ROWS), rows, width)
        if k > 0:
            inputs, out = weights.shape[0], deltas[k]
            out[:rows, :inputs] = _f(0.0)
            add_product(above, transposed[k], out, rows, layers[k, 2], inputs)
            for i in range(rows):
                for j in range(inputs):
                    h = below[i, j]
                    if relu:
                        out[i, j] = out[i, j] if h > _f(0.0) else _f(0.0)
                    else:
                        out[i, j] *= _ONE - h * h
