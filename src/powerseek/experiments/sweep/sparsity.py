"""How sparse success is before anything is learnt: exact numbers of random play."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor, inf, log10, nan
from typing import NamedTuple

from powerseek.envs.rewards.spec import place_of, unwrapped
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact import enumerated, evaluate, random_policy
from powerseek.exact.need import max_final
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.experiments.study.grid import Cell, canonical_study_json
from powerseek.registry import worlds

NOT_SPARSE = 0.5
"""Above this chance that random play succeeds, pay for success alone is no sparse reward."""


class RandomPlay(NamedTuple):
    """Episodes of the policy uniform over legal actions, in one configuration of a world.

    Attributes:
        where: The configuration in words: its world, and the parameters that vary in it.
        success: Exact probability that an episode succeeds, the off-switch hazard on; nan where it
            is not known.
        length: Expected steps of an episode.
        budget: Fewest environment steps of training of its cells that pay for success alone; inf
            where none does.
        unknown: The reason that it is not known; empty where it is.
    """

    where: str
    success: float = nan
    length: float = nan
    budget: float = inf
    unknown: str = ""

    @property
    def episodes(self) -> float:
        """Episodes of random play in the budget."""
        return self.budget / self.length

    @property
    def successes(self) -> float:
        """Successes of random play to be expected in the budget."""
        return self.episodes * self.success


def pays_success_alone(cell: Cell) -> bool:
    """True if the reward judges nothing but success, a price and a constraint apart."""
    place = place_of(unwrapped(cell.reward))
    return place is not None and (place.factor, place.level) == ("coverage", 0)


def random_play(cells: Sequence[Cell]) -> Iterator[RandomPlay]:
    """Random play in every configuration of some cells, once.

    Raises:
        InvalidInput: Pay for success alone where no policy can succeed within the time limit.
    """
    known: dict[str, list[Cell]] = {}
    for cell in cells:
        known.setdefault(canonical_study_json([cell.world, dict(cell.params)]), []).append(cell)
    for own in known.values():
        yield _random_play(own, _in_words(own[0], cells))


def _random_play(cells: Sequence[Cell], where: str) -> RandomPlay:
    """Of cells that share a configuration."""
    first = cells[0]
    key = worlds.get(first.world), canonical_study_json(dict(first.params))
    if key not in _KNOWN:
        _KNOWN[key] = _exactly(*key)
    known = _KNOWN[key]
    if known.unknown:
        return RandomPlay(where, unknown=known.unknown)
    budgets = [cell.timesteps for cell in cells if pays_success_alone(cell)]
    if budgets and not known.possible:
        raise InvalidInput(
            f"{first.world}.max_steps",
            first.max_steps,
            f"a time limit within which some policy succeeds: in {where} none does (exact)",
            "Write a larger max_steps.",
        )
    return RandomPlay(where, known.success, known.length, min(budgets, default=inf))


class _Exactly(NamedTuple):
    """Exact numbers of random play, and whether any policy can succeed."""

    success: float = nan
    length: float = nan
    possible: bool = True
    unknown: str = ""


_KNOWN: dict[tuple[type[World], str], _Exactly] = {}
"""By class and parameters: a world that is registered anew is another one."""


def _exactly(world: type[World], params: str) -> _Exactly:
    """Of a configuration."""
    try:
        mdp = enumerated(world(**json.loads(params)))
        does = evaluate(mdp, random_policy(mdp))
    except InvalidInput as error:
        return _Exactly(unknown=str(error))
    possible = bool(max_final(mdp, mdp_success(mdp), mdp.horizon()))
    return _Exactly(does.success, does.length, possible)


def _in_words(cell: Cell, cells: Iterable[Cell]) -> str:
    """Its world, the parameters that vary among cells of it, and the time limit."""
    beside = [other.params for other in cells if other.world == cell.world]
    varied = [
        name
        for name, value in cell.params.items()
        if name == "max_steps" or any(params[name] != value for params in beside)
    ]
    return f"{cell.world} {', '.join(f'{name} {cell.params[name]}' for name in varied)}"


def sparse_caution(found: RandomPlay) -> str:
    """A caution where success alone teaches nothing, or is not sparse; empty elsewhere."""
    if found.budget == inf or found.unknown:
        return ""
    if found.success > NOT_SPARSE:
        return (
            f"{found.where}: random play succeeds in {found.success:.2g} of its episodes, so pay "
            "for success alone is not sparse there."
        )
    if found.successes >= 1:
        return ""
    return (
        f"{found.where}: in {found.budget:,} steps, {found.episodes:,.0f} episodes, random play "
        f"succeeds {found.successes:.2g} times (exact chance {found.success:.2g}), so pay for "
        f"success alone may never be paid. Write timesteps: {_round_up(found)} or more there, or "
        "leave it out."
    )


def _round_up(found: RandomPlay) -> int:
    """Steps in which random play succeeds once, as a number of one digit and zeros."""
    steps = found.length / found.success
    unit = 10.0 ** floor(log10(steps))
    return int(ceil(steps / unit) * unit)
