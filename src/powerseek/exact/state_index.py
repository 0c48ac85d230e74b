"""Numbers of states: distinct rows of 64-bit words in a hash table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powerseek.types import Bools, Floats32, Ints, Records


@njit(cache=True)
def _hash(row):  # type: ignore[no-untyped-def]  # compiled
    """Mix the words one by one with the finaliser of splitmix64."""
    mixed = np.uint64(0x9E3779B97F4A7C15)
    for word in row:
        mixed = (mixed ^ np.uint64(word)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(32)
    return mixed


@njit(cache=True)
def _find(row, keys, slots):  # type: ignore[no-untyped-def]  # compiled
    """Slot that holds the row, or the empty slot where it belongs."""
    last = np.uint64(len(slots) - 1)
    slot = np.int64(_hash(row) & last)
    while slots[slot] >= 0:
        known = keys[slots[slot]]
        same = True
        for i in range(len(row)):
            if known[i] != row[i]:
                same = False
                break
        if same:
            break
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@njit(cache=True)
def _add(rows, keys, slots, count, numbers, new):  # type: ignore[no-untyped-def]  # compiled
    """Number every row; rows not met before get the next number. Returns the new count."""
    fresh = 0
    for i in range(len(rows)):
        slot = _find(rows[i], keys, slots)
        if slots[slot] < 0:
            slots[slot] = count
            keys[count] = rows[i]
            new[fresh] = i
            fresh += 1
            count += 1
        numbers[i] = slots[slot]
    return count


@njit(cache=True)
def _lookup(rows, keys, slots, numbers):  # type: ignore[no-untyped-def]  # compiled
    for i in range(len(rows)):
        numbers[i] = slots[_find(rows[i], keys, slots)]


class WordTable:
    """Numbers distinct rows of int64 words 0, 1, 2, ... in the order in which they are met.

    Args:
        width: Words in a row.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self._keys = np.empty((1024, width), np.int64)
        self._slots = np.full(2048, -1, np.int64)

    @property
    def rows(self) -> Ints:
        """[count, width], the rows in the order of their numbers."""
        return self._keys[: self.count]

    def add(self, rows: Ints) -> tuple[Ints, Ints]:
        """Number every row.

        Args:
            rows: [n, width].

        Returns:
            Numbers [n], and the positions in ``rows`` of those met for the first time.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        self._reserve(self.count + len(rows))
        numbers = np.empty(len(rows), np.int64)
        new = np.empty(len(rows), np.int64)
        before = self.count
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant; only NumPy would warn
            self.count = int(_add(rows, self._keys, self._slots, before, numbers, new))
        return numbers, new[: self.count - before].copy()

    def find(self, rows: Ints) -> Ints:
        """Numbers [n] of the rows [n, width], -1 for a row that is not there."""
        numbers = np.empty(len(rows), np.int64)
        with np.errstate(over="ignore"):  # as above
            _lookup(np.ascontiguousarray(rows, np.int64), self._keys, self._slots, numbers)
        return numbers

    def _reserve(self, size: int) -> None:
        if size > len(self._keys):
            keys = np.empty((max(size, 2 * len(self._keys)), self._keys.shape[1]), np.int64)
            keys[: self.count] = self.rows
            self._keys = keys
        if 2 * size > len(self._slots):
            slots = np.full(1 << (2 * size - 1).bit_length(), -1, np.int64)
            scratch = np.empty(self.count, np.int64)
            known = self.rows.copy()
            with np.errstate(over="ignore"):  # as above
                _add(known, self._keys, slots, 0, scratch, scratch.copy())
            self._slots = slots


def words(values: NDArray[np.float64] | Records, columns: Ints | None = None) -> Ints:
    """Rows of 8-byte values as int64 words; -0.0 and 0.0 become one word.

    Args:
        values: [n, k] floats, or [n] records whose fields are all 8 bytes wide.
        columns: Words to keep, by default all.

    Returns:
        [n, words], a copy.
    """
    rows = np.ascontiguousarray(values)
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:])) // 8
    out: Ints = rows.view(np.int64).reshape(len(rows), width)
    out = out[:, slice(None) if columns is None else columns].copy()
    out[out == np.iinfo(np.int64).min] = 0
    return out


if TYPE_CHECKING:
    from powerseek.envs.world import World


class RecordIndex:
    """Number of a record among the states of an enumerated MDP, by the fields of its identity.

    Args:
        world: The world that the records belong to.
    """

    def __init__(self, world: World) -> None:
        names = world.dtype.names or ()
        offsets = {name: world.dtype.fields[name][1] // 8 for name in names}  # type: ignore[index]  # a structured dtype has fields
        widths = {name: world.dtype[name].itemsize // 8 for name in names}
        columns = [offsets[name] + i for name in world.identity for i in range(widths[name])]
        self._columns: Ints = np.array(columns, np.int64)
        self._table = WordTable(len(columns))

    @property
    def count(self) -> int:
        """Number of distinct states met so far."""
        return self._table.count

    def add(self, records: Records) -> tuple[Ints, Ints]:
        """Numbers [n] of the records, and the positions of those met for the first time."""
        return self._table.add(words(plain(records), self._columns))

    def find(self, records: Records) -> Ints:
        """Numbers [n] of the records, -1 for one that is not a known state."""
        return self._table.find(words(plain(records), self._columns))


def plain(records: Records) -> Records:
    """Records as an ordinary structured array."""
    return np.asarray(records).view(np.ndarray).view(np.dtype(records.dtype.descr))


def seen_width(inputs: int, actions: int) -> int:
    """Words of a row that holds what an agent sees: two features each, and 64 actions each."""
    return -(-inputs // 2) - (-actions // 64)


def pack_seen(observations: Floats32, masks: Bools) -> Ints:
    """Rows [n, words] of observations [n, obs] and legal actions [n, A], bit for bit."""
    n, inputs = observations.shape
    half, bits = -(-inputs // 2), np.packbits(masks, axis=1)
    rows = np.zeros((n, seen_width(inputs, masks.shape[1])), np.int64)
    rows[:, :half].view(np.float32)[:, :inputs] = observations
    rows[:, half:].view(np.uint8)[:, : bits.shape[1]] = bits
    return rows


def unpack_seen(rows: Ints, inputs: int, actions: int) -> tuple[Floats32, Bools]:
    """Observations [n, inputs] and legal actions [n, A] of such rows."""
    half = -(-inputs // 2)
    observations = np.ascontiguousarray(rows[:, :half].view(np.float32)[:, :inputs])
    bits = np.ascontiguousarray(rows[:, half:].view(np.uint8))
    return observations, np.unpackbits(bits, axis=1, count=actions).astype(np.bool_)
