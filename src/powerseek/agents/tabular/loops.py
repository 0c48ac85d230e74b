"""Compiled loops over a table of action values.

They stand in one module: Numba's cache of a loop on disk sees changes to its own file alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powerseek.envs.engine.compile import loop, loop_of_numbers
from powerseek.types import Bools, Floats, Ints

GREATEST, CARRIED_OUT, CHOSEN = range(3)
"""Values of what comes next: that of the best action, of the one done, of the one meant."""
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


class Backup(NamedTuple):
    """How a value is updated.

    Attributes:
        value: `GREATEST`, `CARRIED_OUT` or `CHOSEN`.
        gamma: Discount.
        rate: Learning rate of a value's first update.
        decay: The n-th of a value has rate / n^decay.
        initial: The value of what was never learnt about.
    """

    value: int
    gamma: float
    rate: float
    decay: float
    initial: float


class Modified(NamedTuple):
    """What an observation tells of modified actions.

    Attributes:
        columns: [M] features; while one is not 0, what is chosen is not what is done.
        actions: [M] what is carried out then.
    """

    columns: Ints
    actions: Ints


class Pending(NamedTuple):
    """Steps whose update waits for what is done next.

    Attributes:
        rows: [n] rows stepped from, -1 where nothing waits.
        actions: [n] carried out there.
        rewards: [n] paid for it.
    """

    rows: Ints
    actions: Ints
    rewards: Floats


def bits(observations: Any) -> NDArray[np.uint32]:
    """Observations [n, obs] as the bits of 32-bit numbers."""
    return np.ascontiguousarray(observations, np.float32).view(np.uint32)


@loop
def _step_hash(key: Any, word: Any) -> Any:
    return (key ^ np.uint64(word)) * np.uint64(_FACTOR)


@loop
def _find_row(seen: Any, rows: Any) -> Any:
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
    row = _find_row(seen, rows)
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
def _greatest_value(values: Any, mask: Any) -> float:
    """The greatest of values [A] that are allowed; minus infinity where none is."""
    top = -np.inf
    for a in range(len(mask)):
        if mask[a] and values[a] > top:
            top = values[a]
    return top


@loop
def draw_action(values: Any, mask: Any, epsilon: float, draws: Any) -> int:
    """An action by the eps-greedy policy of `TablePolicy`, from two uniform numbers."""
    least = -np.inf if draws[0] < epsilon else _greatest_value(values, mask)
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
def find_all(seen: Any, rows: Any, out: Any) -> None:
    """Fill the row of each of the bits [n, obs], -1 where there is none."""
    for i in range(len(out)):
        out[i] = max(_find_row(seen[i], rows), -1)


@loop
def reindex(rows: Any) -> None:
    """Fill the slots, all empty, with the rows in use."""
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
def fill_weights(rows: Any, values: Any, masks: Any, epsilon: float, out: Any) -> None:
    """Fill probabilities [n, A], all 0, of the eps-greedy policy in rows [n]; -1: evenly."""
    for i in range(len(rows)):
        row = rows[i]
        least = -np.inf if row < 0 else _greatest_value(values[row], masks[i])
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


@loop
def _carried_out(seen: Any, modified: Any, chosen: Any) -> Any:
    for m in range(len(modified.columns)):
        # The bits of 0 and -0: all but the sign.
        if seen[modified.columns[m]] & np.uint32(0x7FFFFFFF):
            return modified.actions[m]
    return chosen


@loop
def _value(row: Any, mask: Any, chosen: Any, done: Any, rows: Any, backup: Any) -> Any:
    if backup.value == GREATEST:
        return _greatest_value(rows.values[row], mask)
    return rows.values[row, done if backup.value == CARRIED_OUT else chosen]


@loop
def _learn(i: int, following: float, rows: Any, backup: Any, pending: Any, sums: Any) -> None:
    """Move the value that waits in environment i towards its reward and what follows."""
    row, action = pending.rows[i], pending.actions[i]
    rows.visits[row, action] += 1
    rate = backup.rate
    if backup.decay > 0.0:
        rate /= float(rows.visits[row, action]) ** backup.decay
    error = pending.rewards[i] + backup.gamma * following - rows.values[row, action]
    rows.values[row, action] += rate * error
    sums[0] += 1.0
    sums[1] += abs(error)


@loop
def act(
    seen: Any,
    masks: Any,
    draws: Any,
    epsilon: float,
    rows: Any,
    modified: Any,
    backup: Any,
    pending: Any,
    chosen: Any,
    sums: Any,
) -> None:
    """Choose in every environment, and learn of the step before from what is chosen."""
    for i in range(len(chosen)):
        row = stand_on(seen[i], masks[i], rows)
        chosen[i] = draw_action(rows.values[row], masks[i], epsilon, draws[i])
        done = _carried_out(seen[i], modified, chosen[i])
        if pending.rows[i] >= 0:
            following = _value(row, masks[i], chosen[i], done, rows, backup)
            _learn(i, following, rows, backup, pending, sums)
        pending.rows[i] = row
        pending.actions[i] = done


@loop
def settle(
    final: Any,
    rewards: Any,
    terminated: Any,
    truncated: Any,
    draws: Any,
    epsilon: float,
    rows: Any,
    modified: Any,
    backup: Any,
    pending: Any,
    sums: Any,
) -> None:
    """Note what was paid; learn of the last steps of episodes."""
    for i in range(len(rewards)):
        pending.rewards[i] = rewards[i]
        if not (terminated[i] or truncated[i]):
            continue
        following = 0.0
        if not terminated[i]:
            # What is allowed in a last state was told if it was ever stood on.
            following = backup.initial
            row = _find_row(final[i], rows)
            if row >= 0:
                mask = rows.legal[row]
                chosen = draw_action(rows.values[row], mask, epsilon, draws[i])
                done = _carried_out(final[i], modified, chosen)
                following = _value(row, mask, chosen, done, rows, backup)
        _learn(i, following, rows, backup, pending, sums)
        pending.rows[i] = -1
