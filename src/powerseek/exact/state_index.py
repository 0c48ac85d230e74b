"""Which state a record of a world is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from powerseek.exact.words import WordTable, words
from powerseek.types import Ints, Records

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
