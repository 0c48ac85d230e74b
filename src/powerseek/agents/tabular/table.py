"""A growing table of action values, a row for each observation, and the policy that it makes."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.agents.tabular.loops import Rows, bits, fill_weights, find_all, reindex
from powerseek.types import Floats, Floats32, Ints, Situation

FIRST = 256
"""Rows that a table holds before it first grows."""
_SLOTS = 4
"""Slots for each row that it can hold."""


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
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
            find_all(bits(observations), self.rows, out)
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
        if not np.isfinite(rows.values).all() or rows.visits.min() < 0:
            raise ValueError("values are not finite, or visits are below 0")
        rows.used[0] = n
        with np.errstate(over="ignore"):  # as above
            reindex(rows)
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
        fill_weights(rows, self.table.rows.values, situation.masks, self.epsilon, weights)
        return weights


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
