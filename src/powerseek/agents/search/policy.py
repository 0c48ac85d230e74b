"""Policies that search when they act."""

from __future__ import annotations

from typing import Any

import numpy as np

from powerseek.agents.search.model import Model, Rules
from powerseek.agents.search.tree import Evaluate, Roots, Search
from powerseek.envs.engine.chance import mix_bits
from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.envs.task import Task
from powerseek.types import Floats, Situation

ROOTS = 256
"""Situations that are searched from side by side."""

_PLAYING = np.uint64(0x706C6179)
"""Apart from the streams of the world's chance, which no search may know."""


class SearchPolicy:
    """What a search finds best, over the rules and the reward of a task.

    Its draws are keyed by the situation: asked again about the same one, it says the same. With
    a network the probabilities are those of the improved policy (Danihelka et al. 2022), without
    one the fractions of visits. Wherever it acts, it searches the task that it is given here.

    Args:
        task: Of whose rules it thinks, with its overseer where its reward needs one.
        simulations: In each situation, >= 1.
        considered: As `Search` takes it.
        c_scale: Likewise.
        evaluate: What values states; None for nobody.
        model: What it searches; by default the rules.

    Attributes:
        inexact: Why it is measured on episodes alone.
    """

    inexact = "it searches when it acts, with draws of its own"

    def __init__(
        self,
        task: Task,
        simulations: int,
        considered: int = 0,
        c_scale: float = 0.0,
        evaluate: Evaluate | None = None,
        model: Model | None = None,
    ) -> None:
        self.task, self.simulations, self.evaluate = task, simulations, evaluate
        self.considered, self.c_scale = considered, c_scale
        self._model = model
        self._search: Search | None = None

    def probabilities(self, situation: Situation) -> Floats:
        """Action probabilities [n, A]; rows sum to 1."""
        model, search = self._made()
        handles = model.recall(situation)
        rows = handles.view(np.dtype((np.void, handles.itemsize * handles.shape[1])))
        # Side by side in a small world many stand in the same state.
        _, first, which = np.unique(rows[:, 0], return_index=True, return_inverse=True)
        seeds = np.zeros(len(first), np.uint64)
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant
            _hash(handles[first], seeds)
        given = np.zeros((len(first), situation.masks.shape[1]))
        for start in range(0, len(first), ROOTS):
            part = slice(start, start + ROOTS)
            these = first[part]
            seen = situation.masks[these], situation.observations[these]
            roots, gamma = Roots(handles[these], *seen), self.task.gamma
            found = search(model, roots, seeds[part], gamma, self.evaluate)
            by_visits = self.evaluate is None
            given[part] = found.visits / self.simulations if by_visits else found.improved
        return given[which]

    def _made(self) -> tuple[Model, Search]:
        """Model and trees, made when they are first needed."""
        if self._model is None:
            self._model = Rules(self.task, ROOTS)
        if self._search is None:
            self._search = Search(
                ROOTS,
                self._model.width,
                self.task.observation_size,
                self.task.n_actions,
                self.simulations,
                self.considered,
                self.c_scale,
            )
        return self._model, self._search


@loop_of_numbers
def _hash(handles: Any, seeds: Any) -> None:
    """Fill `seeds` [n] with what tells states [n, H] apart."""
    for i in range(len(handles)):
        mixed = _PLAYING
        for j in range(handles.shape[1]):
            mixed = mix_bits(mixed ^ np.uint64(handles[i, j]))
        seeds[i] = mixed
