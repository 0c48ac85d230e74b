"""A model that counts: what each action led to in each state, as often as it was seen to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from powerseek.agents.memory import free_training_memory
from powerseek.agents.search.learnt import Learnt
from powerseek.agents.search.model import Chance, Outcomes
from powerseek.envs.engine.chance import fold_stream, unit_draw
from powerseek.envs.engine.compile import loop_of_numbers
from powerseek.envs.task import VecTask
from powerseek.errors import InvalidInput
from powerseek.exact.model_error import Imagined
from powerseek.exact.state_index import WordTable, pack_seen, unpack_seen
from powerseek.types import Bools, Floats, Floats32, Ints

_ENDED = -1
"""State that follows where an episode ended."""

TABLES = ("states", "pairs", "results")


class Tabular(Learnt):
    """Counts of outcomes (reward, end or next state) of every action tried in every state seen.

    An outcome is drawn as often as it was met; where one alone was, nothing is drawn. An action
    never tried where a state stands is thought to change nothing there and to pay nothing: trees
    value it as the state itself, no better and no worse. In `homestead` at openness 0 under
    ``dense`` an agent came with this to .88 and .89 within 98,000 steps (seeds 10,001 and 10,002),
    with an episode that ends there to .67 and .69: what was never tried never is.

    Args:
        inputs: As `Learnt` takes them.
        actions: Likewise.
        most: States, and outcomes, that are kept at most; by default what memory has room for.
    """

    def __init__(self, inputs: int, actions: int, most: int | None = None) -> None:
        super().__init__(inputs, actions)
        self._most = most
        self._row = 8 * (self.width + 2 + 3 + 3) + 4 * 16  # words of a step that is new in all
        self._begin()

    def _begin(self) -> None:
        self._room = 1024
        self._states, self._pairs, self._results = (WordTable(w) for w in (self.width, 2, 3))
        self._first, self._last = (np.full(self._room, -1, np.int64) for _ in range(2))
        self._tries, self._counts = np.zeros((2, self._room), np.int64)
        self._following = np.full(self._room, -1, np.int64)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of states seen, of actions tried in them, and of their outcomes."""
        return self._states.count, self._pairs.count, self._results.count

    def meet(
        self, stood: Ints, actions: Ints, rewards: Floats, ended: Bools, envs: VecTask
    ) -> None:
        """See Learnt.meet."""
        self._reserve(2 * len(actions))
        state, _ = self._states.add(stood)
        reached, _ = self._states.add(pack_seen(envs.observations, envs.masks)[~ended])
        following = np.full(len(actions), _ENDED, np.int64)
        following[~ended] = reached
        self._count(np.column_stack([state, actions]), rewards, following, 1)

    def _count(self, pairs: Ints, rewards: Floats, following: Ints, times: Ints | int) -> None:
        pair, _ = self._pairs.add(pairs)
        paid = np.ascontiguousarray(rewards).view(np.int64)
        result, new = self._results.add(np.column_stack([pair, paid, following]))
        np.add.at(self._tries, pair, times)
        np.add.at(self._counts, result, times)
        _chain(pair[new], result[new], self._first, self._last, self._following)

    def _reserve(self, more: int) -> None:
        """Make room for that many states, and outcomes.

        Raises:
            InvalidInput: There is none.
        """
        needed = max(self.counts) + more
        if self._most is not None and needed > self._most:
            raise self._full(self._most)
        if needed <= self._room:
            return
        room = max(needed, 2 * self._room)
        free = free_training_memory()
        if self._most is None and free is not None and room * self._row > free:
            raise self._full(self._room)
        for name in ("_first", "_last", "_following", "_tries", "_counts"):
            old = getattr(self, name)
            grown = np.full(room, 0 if name in ("_tries", "_counts") else -1, np.int64)
            grown[: len(old)] = old
            setattr(self, name, grown)
        self._room = room

    def _full(self, most: int) -> InvalidInput:
        states = self._states.count
        allowed = f"a world of which at most {most:,} states are met: memory has no room for more"
        return InvalidInput(
            "settings.model",
            f"tabular, {states:,} states met",
            allowed,
            "Write model: network, or fewer timesteps.",
        )

    def step(self, handles: Ints, actions: Ints, chance: Chance) -> Outcomes:
        """See Model.step."""
        k = len(actions)
        pair = self._pairs.find(np.column_stack([self._states.find(handles), actions]))
        result = np.full(k, -1, np.int64)
        with np.errstate(over="ignore"):  # 64-bit wrap-around is meant; only NumPy would warn
            _draw(pair, self._first, self._following, self._tries, self._counts, *chance, result)
        tried = result >= 0
        reached = np.array(handles)
        rewards, ended = np.zeros(k), np.zeros(k, np.bool_)
        if tried.any():
            rows = self._results.rows[result[tried]]
            following = rows[:, 2]
            rewards[tried] = np.ascontiguousarray(rows[:, 1]).view(np.float64)
            ended[tried] = following == _ENDED
            on = tried.copy()
            on[tried] = following != _ENDED
            reached[on] = self._states.rows[following[following != _ENDED]]
        seen, masks = unpack_seen(reached, self.inputs, self.actions)
        return Outcomes(rewards, ended, reached, masks, seen)

    def outcomes(self, observations: Floats32, masks: Bools, actions: Ints) -> Imagined:
        """See Learnt.outcomes."""
        handles = pack_seen(observations, masks)
        pair = self._pairs.find(np.column_stack([self._states.find(handles), actions]))
        of = self._results.rows[:, 0]
        order = np.argsort(of, kind="stable")
        start = np.searchsorted(of[order], np.arange(self._pairs.count + 1))
        known = np.where(pair >= 0, start[pair + 1] - start[pair], 1)
        source = np.repeat(np.arange(len(pair)), known)
        within = np.arange(len(source)) - np.repeat(np.cumsum(known) - known, known)
        tried = pair[source] >= 0
        result = np.full(len(source), -1, np.int64)
        result[tried] = order[start[pair[source[tried]]] + within[tried]]
        probability, rewards = np.ones(len(source)), np.zeros(len(source))
        probability[tried] = self._counts[result[tried]] / self._tries[pair[source[tried]]]
        rows = self._results.rows[result[tried]]
        rewards[tried] = np.ascontiguousarray(rows[:, 1]).view(np.float64)
        reached, ended = handles[source], np.zeros(len(source), np.bool_)
        following = np.full(len(source), _ENDED, np.int64)
        following[tried] = rows[:, 2]
        ended[tried] = rows[:, 2] == _ENDED
        reached[following >= 0] = self._states.rows[following[following >= 0]]
        return Imagined(
            source, probability, rewards, ended, *unpack_seen(reached, self.inputs, self.actions)
        )

    @property
    def reward_range(self) -> tuple[float, float]:
        """See Learnt.reward_range."""
        rewards = np.ascontiguousarray(self._results.rows[:, 1]).view(np.float64)
        return float(rewards.min(initial=0.0)), float(rewards.max(initial=0.0))

    def arrays(self) -> dict[str, Any]:
        """See Learnt.arrays."""
        found = {name: getattr(self, f"_{name}").rows.copy() for name in TABLES}
        return {**found, "counts": self._counts[: self._results.count].copy()}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """See Learnt.restore."""
        states, pairs, results = (np.asarray(arrays[name], np.int64) for name in TABLES)
        self._begin()
        self._reserve(max(len(states), len(results)))
        self._states.add(states)
        rewards = np.ascontiguousarray(results[:, 1]).view(np.float64)
        self._count(pairs[results[:, 0]], rewards, results[:, 2], np.asarray(arrays["counts"]))


@loop_of_numbers
def _chain(pairs: Any, results: Any, first: Any, last: Any, following: Any) -> None:
    """Append outcomes [m] to those of their pairs [m], in the order in which they were met."""
    for i in range(len(pairs)):
        pair, result = pairs[i], results[i]
        if first[pair] < 0:
            first[pair] = result
        else:
            following[last[pair]] = result
        last[pair] = result


@loop_of_numbers
def _draw(
    pairs: Any,
    first: Any,
    following: Any,
    tries: Any,
    counts: Any,
    seeds: Any,
    numbers: Any,
    episodes: Any,
    results: Any,
) -> None:
    """Fill `results` [k] with an outcome of each pair; those of no pair (-1) stay."""
    for i in range(len(pairs)):
        pair = pairs[i]
        if pair < 0:
            continue
        result = first[pair]
        if following[result] >= 0:
            key = fold_stream(fold_stream(seeds[i], numbers[i]), episodes[i])
            left = unit_draw(fold_stream(key, 0)) * tries[pair]
            while following[result] >= 0 and left >= counts[result]:
                left -= counts[result]
                result = following[result]
        results[i] = result
