"""Who descends from whom in a genetic algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from powerseek.types import Ints


@dataclass(frozen=True)
class Lineage:
    """The ancestors of a population.

    Attributes:
        parents: [G, P] of member i of generation g + 1, its parent's number in generation g.
        elites: Members of each generation, the first, that are copies of their parents.
        champion: Number, in the last generation, of the one that is the policy.
    """

    parents: NDArray[np.int32] = field(repr=False)
    elites: int
    champion: int

    @property
    def ancestors(self) -> Ints:
        """[G + 1] numbers of the champion's ancestors in their generations, its founder first."""
        line: Ints = np.empty(len(self.parents) + 1, np.int64)
        line[-1] = self.champion
        for g in range(len(self.parents) - 1, -1, -1):
            line[g] = self.parents[g, line[g + 1]]
        return line

    @property
    def mutations(self) -> int:
        """Mutations between the champion and its founder."""
        return int((self.ancestors[1:] >= self.elites).sum())

    @property
    def founders(self) -> Ints:
        """[P] the founder of each member of the last generation, by its number in the first."""
        living: Ints = np.arange(self.parents.shape[1])
        for row in self.parents[::-1]:
            living = row[living].astype(np.int64)
        return living
