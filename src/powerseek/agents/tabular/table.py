"""A growing table of action values, a row for each observation, and the policy that it makes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.compile import loop, loop_of_numbers
from powerseek.types import Bools, Floats, Floats32, Ints, Situation

FIRST = 256
"""Rows that a table holds before it first grows."""
_SLOTS = 4
"""Slots for each row that it can hold."""
_FACTOR = 0x9E3779B97F4A7C15


class Rows(NamedTuple):
    """The arrays of a table, with room for R rows of K features and A actions.

    Attributes:
        columns: [K] features that are read, as numbers in an observation.
        slots: [S] rows by hash, -1 where there is none; a power of two.
        keys: [R, K] bits of those features.
        legal: [R, A] actions that were allowed when the row was last stood on.
        values: [R, A] of actions.
        visits: [R, A] updates of each value.
        used: [1] rows in use.
    """

    columns: Ints
    slots: Ints
    keys: NDArray[np.uint32]
    legal: Bools
    values: Floats
    visits: Ints
    used: Ints


class Table:
    """Action values by observation, told apart bit by bit.

    Args:
        columns: [K] features that are read, as numbers in an observation.
        actions: Number of actions A.
        initial: The value of an action that was never learnt about.

    Attributes:
        rows: Its arrays; others once it has grown.
    """

    def __init__(self, columns: Ints, actions: int, initial: float = 0.0) -> None:
        self.initial = initial
        self.rows = _empty(columns, actions, FIRST, initial)

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.rows.used[0])

    def make_room(self, more: int) -> None:
        """Grow until `more` further rows fit."""
        room = len(self.rows.keys)
        if self.size + more > room:
            self._rebuild(max(2 * room, self.size + more), self.state_dict())

    def find(self, observations: Floats32) -> Ints:
        """The row [n] of each observation [n, obs], -1 where there is none."""
        out = np.empty(len(observations), np.int64)
        _find_all(bits(observations), self.rows, out)
        return out

    def state_dict(self) -> dict[str, Any]:
        """The rows in use, by name."""
        n, rows = self.size, self.rows
        return {
            "observations": rows.keys[:n].view(np.float32),
            "legal": rows.legal[:n],
            "values": rows.values[:n],
            "visits": rows.visits[:n],
        }

    def load_state_dict(self, state: Any) -> None:
        """Hold the rows of `state_dict`.

        Raises:
            ValueError: They do not fit each other or the table.
        """
        self._rebuild(max(FIRST, len(state["values"])), state)

    def _rebuild(self, room: int, state: Any) -> None:
        columns, actions = self.rows.columns, self.rows.values.shape[1]
        n, rows = len(state["values"]), _empty(columns, actions, room, self.initial)
        shapes = {"observations": len(columns), "legal": actions, "values": actions}
        for name, width in {**shapes, "visits": actions}.items():
            if np.shape(state[name]) != (n, width):
                raise ValueError(f"{name} has shape {np.shape(state[name])}, not ({n}, {width})")
        rows.keys[:n] = bits(state["observations"])
        for name in ("legal", "values", "visits"):
            getattr(rows, name)[:n] = state[name]
        rows.used[0] = n
        _reindex(rows)
        self.rows = rows


class TablePolicy:
    """An eps-greedy policy of a table's values.

    With probability `epsilon` an allowed action at random, else one of those of greatest value,
    evenly. So observations that were never seen get allowed actions evenly.

    Args:
        table: The table; it may change.
        epsilon: The probability of an action at random.
    """

    def __init__(self, table: Table, epsilon: float) -> None:
        self.table, self.epsilon = table, epsilon

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1."""
        weights: Floats = np.zeros(situation.masks.shape)
        rows = self.table.find(situation.observations)
        _fill_weights(rows, self.table.rows.values, situation.masks, self.epsilon, weights)
        return weights


def bits(observations: Any) -> NDArray[np.uint32]:
    """Observations [n, obs] as the bits of 32-bit numbers."""
    return np.ascontiguousarray(observations, np.float32).view(np.uint32)


def _empty(columns: Ints, actions: int, room: int, initial: float) -> Rows:
    return Rows(
        columns,
        np.full(1 << (_SLOTS * room - 1).bit_length(), -1, np.int64),
        np.zeros((room, len(columns)), np.uint32),
        np.zeros((room, actions), np.bool_),
        np.full((room, actions), float(initial)),
        np.zeros((room, actions), np.int64),
        np.zeros(1, np.int64),
    )


@loop
def _step_hash(key: Any, word: Any) -> Any:
    return (key ^ np.uint64(word)) * np.uint64(_FACTOR)


@loop
def find_row(seen: Any, rows: Any) -> Any:
    """The row of an observation's bits [obs], or -1 - the slot where it would stand."""
    key, last = np.uint64(0), np.uint64(len(rows.slots) - 1)
    for column in rows.columns:
        key = _step_hash(key, seen[column])
    slot = (key >> np.uint64(32)) & last
    while True:
        row = rows.slots[slot]
        if row < 0:
            return -1 - np.int64(slot)
        same = True
        for k in range(len(rows.columns)):
            if rows.keys[row, k] != seen[rows.columns[k]]:
                same = False
                break
        if same:
            return row
        slot = (slot + np.uint64(1)) & last


@loop
def stand_on(seen: Any, mask: Any, rows: Any) -> Any:
    """The row of an observation's bits, a new one if need be, with what is allowed there now."""
    row = find_row(seen, rows)
    if row < 0:
        slot, row = -1 - row, rows.used[0]
        rows.slots[slot] = row
        rows.used[0] += 1
        for k in range(len(rows.columns)):
            rows.keys[row, k] = seen[rows.columns[k]]
    for a in range(len(mask)):
        rows.legal[row, a] = mask[a]
    return row


@loop
def greatest_value(values: Any, mask: Any) -> float:
    """The greatest of values [A] that are allowed; minus infinity where none is."""
    top = -np.inf
    for a in range(len(mask)):
        if mask[a] and values[a] > top:
            top = values[a]
    return top


@loop
def draw_action(values: Any, mask: Any, epsilon: float, draws: Any) -> int:
    """An action by the eps-greedy policy of `TablePolicy`, from two uniform numbers."""
    least = -np.inf if draws[0] < epsilon else greatest_value(values, mask)
    count = 0
    for a in range(len(mask)):
        if mask[a] and values[a] >= least:
            count += 1
    left = int(draws[1] * count)
    for a in range(len(mask)):
        if mask[a] and values[a] >= least:
            if left == 0:
                return a
            left -= 1
    return 0


@loop
def _find_all(seen: Any, rows: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = max(find_row(seen[i], rows), -1)


@loop
def _reindex(rows: Any) -> None:
    last = np.uint64(len(rows.slots) - 1)
    for row in range(rows.used[0]):
        key = np.uint64(0)
        for k in range(len(rows.columns)):
            key = _step_hash(key, rows.keys[row, k])
        slot = (key >> np.uint64(32)) & last
        while rows.slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        rows.slots[slot] = row


@loop_of_numbers
def _fill_weights(rows: Any, values: Any, masks: Any, epsilon: float, out: Any) -> None:
    for i in range(len(rows)):
        row = rows[i]
        least = -np.inf if row < 0 else greatest_value(values[row], masks[i])
        allowed = 0
        greatest = 0
        for a in range(masks.shape[1]):
            if masks[i, a]:
                allowed += 1
                if row < 0 or values[row, a] >= least:
                    greatest += 1
        for a in range(masks.shape[1]):
            if masks[i, a]:
                out[i, a] = epsilon / allowed
                if row < 0 or values[row, a] >= least:
                    out[i, a] += (1.0 - epsilon) / greatest
