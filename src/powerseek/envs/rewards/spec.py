"""Reward functions: small pure objects from arrays of facts to arrays of rewards.

A reward function knows no world and no learner. It pays for what happens between two moments,
``before`` and ``after`` one `Step`, and carries one number of memory per environment. A study names
it by data, never by text to parse: ``dense``, ``{every: 8}``, ``{every: 8, corrected: true}``,
``{every: cap}``, ``{thinned: 0.25}``, ``shaped``, ``terminal``, ``{terminal: {pay: cap}}``,
``own`` (timing: `powerseek.envs.rewards.timing`), ``{approval: 8}``,
``{approval: cap, aim: progress, noise: 0.5}``,
``{coverage: 0.5}``, ``{coverage: 1, aim: need, price: 0.02}`` (specification:
`powerseek.envs.rewards.oversight`), ``{preference: 200, noise: 0.1}`` (a model that is learnt:
`powerseek.envs.rewards.preference`), ``{priced: 0.02, of: terminal}``
(`powerseek.envs.rewards.priced`), ``{aup: 0.1, of: terminal}``,
``{penalty: 0.1, horizon: 8, placebo: true, of: terminal}`` (constraints:
`powerseek.envs.rewards.constrained`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from powerseek.envs.rewards.base import (
    Change,
    Comparisons,
    ConfoundWarning,
    Facts,
    FactSource,
    Horizon,
    Overseer,
    Oversight,
    Pay,
    Place,
    Restraint,
    RewardFunction,
    Step,
    acquired_in,
    comparisons_of,
    is_reward_number,
)
from powerseek.errors import InvalidInput
from powerseek.registry import rewards

__all__ = [
    "TIME_LIMITS",
    "Change",
    "Comparisons",
    "ConfoundWarning",
    "FactSource",
    "Facts",
    "Horizon",
    "Overseer",
    "Oversight",
    "Pay",
    "Place",
    "Restraint",
    "RewardFunction",
    "Spec",
    "Step",
    "acquired_in",
    "aim_of",
    "check_horizon",
    "comparisons_of",
    "is_learnt",
    "make_reward",
    "noise_of",
    "place_of",
    "price_of",
    "read_spec",
    "reads_acquired",
    "restraint_of",
    "reward_chain",
    "reward_name",
    "reward_permits",
    "reward_windows",
    "takes_lookahead",
    "unwrapped",
    "with_lookahead",
    "with_price",
    "without_price",
]

Spec = str | Mapping[str, Any]
"""A reward function as a study writes it: its id, or ``{id: argument, option: value}``."""

TIME_LIMITS = ("terminal", "bootstrap")

PRICE_OPTIONS = ("price", "unfelt", "paid_to_fail")
"""Options of a reward that its price alone is about."""


def make_reward(
    spec: Spec,
    *,
    max_steps: int,
    gamma: float = 1.0,
    time_limit: str = "terminal",
    runs_on: bool = False,
    overseer: Overseer | None = None,
) -> RewardFunction:
    """The reward function that `spec` means at these settings.

    Args:
        spec: As in a study.
        max_steps: The cap T, in steps.
        gamma: Discount of the learner, in (0, 1].
        time_limit: ``terminal`` or ``bootstrap``.
        runs_on: Whether an episode goes on after success.
        overseer: Judge for the rewards that need one. Without it they can be built and named, but
            not paid.

    Raises:
        InvalidInput: an unknown reward, or a setting that is not allowed.

    Warns:
        ConfoundWarning: gamma < 1 with ``every`` uncorrected.
    """
    id, argument, options = read_spec(spec)
    check_horizon(gamma, time_limit)
    horizon = Horizon(float(gamma), max_steps, time_limit, runs_on)
    function: RewardFunction = (
        rewards.get(id).build(argument, options, horizon).with_overseer(overseer)
    )
    return function


def check_horizon(gamma: float, time_limit: str) -> None:
    """Refuse a discount or a time limit that is not allowed, or the two together."""
    if not is_reward_number(gamma) or not 0 < gamma <= 1:
        raise InvalidInput("gamma", gamma, "a number above 0, at most 1")
    if time_limit not in TIME_LIMITS:
        raise InvalidInput("time_limit", time_limit, " or ".join(TIME_LIMITS))
    if time_limit == "bootstrap" and gamma == 1:
        raise InvalidInput(
            "time_limit",
            time_limit,
            "terminal at gamma 1 (bootstrapping through the cap diverges there)",
            "Write time_limit: terminal, or a gamma below 1.",
        )


def read_spec(spec: Spec) -> tuple[str, Any, dict[str, Any]]:
    """Id, argument (None if there is none) and options, in the reward's order, of a spec.

    Raises:
        InvalidInput: an unknown reward or option.
    """
    if isinstance(spec, str):
        rewards.get(spec)
        return spec, None, {}
    if not isinstance(spec, Mapping) or not spec:
        raise InvalidInput("reward", spec, "a reward's name, or {name: argument, option: value}")
    known = [name for name in spec if name in rewards.ids()]
    id = known[0] if len(known) == 1 else next(iter(spec))
    entry = rewards.get(id)
    given = {name: value for name, value in spec.items() if name != id}
    argument = spec[id]
    if isinstance(argument, Mapping):
        given, argument = {**given, **argument}, None
    for name in given:
        if name not in entry.options:
            raise InvalidInput(f"{id} option", name, ", ".join(entry.options) or "none")
    return id, argument, {name: given[name] for name in entry.options if name in given}


def reward_name(spec: Spec) -> str:
    """Canonical text of a spec for tables and columns: ``every 8 corrected``."""
    id, argument, options = read_spec(spec)
    return str(rewards.get(id).label(argument, options))


def place_of(spec: Spec) -> Place | None:
    """The place of a spec on a factor of rewards; None for on none.

    Raises:
        InvalidInput: An unknown reward or option, or a reward that tells no place by its parts.
    """
    id, argument, options = read_spec(spec)
    told = rewards.get(id).factor(argument, options)
    if told is None:
        return None
    found = Place(*told) if isinstance(told, tuple) and 2 <= len(told) <= 3 else None
    if found is None or not isinstance(found.factor, str) or not is_reward_number(found.level):
        raise InvalidInput(f"{id}.factor", told, "(factor, level), (factor, level, family) or None")
    return found._replace(
        level=float(found.level),
        aim=rewards.get(id).aim_of(argument, options),
        price=rewards.get(id).price_of(argument, options),
        noise=rewards.get(id).noise_of(argument, options),
        restraint=rewards.get(id).restraint_of(argument, options),
    )


def aim_of(spec: Spec) -> str:
    """What the overseer of a spec wants; empty where nobody judges."""
    id, argument, options = read_spec(spec)
    return str(rewards.get(id).aim_of(argument, options))


def price_of(spec: Spec) -> float:
    """Success that a unit of acquisition costs under a spec; 0 where it costs nothing."""
    id, argument, options = read_spec(spec)
    return float(rewards.get(id).price_of(argument, options))


def noise_of(spec: Spec) -> float:
    """How far the overseer of a spec misjudges; 0 where it does not, or nobody judges."""
    id, argument, options = read_spec(spec)
    return float(rewards.get(id).noise_of(argument, options))


def restraint_of(spec: Spec) -> Restraint:
    """How a spec is constrained."""
    id, argument, options = read_spec(spec)
    found: Restraint = rewards.get(id).restraint_of(argument, options)
    return found


def reward_windows(specs: Iterable[Spec], max_steps: int) -> tuple[int, ...]:
    """Sorted distinct k of a study's rewards, ``cap`` resolved: the accumulators to observe."""
    found = set()
    for spec in specs:
        id, argument, _ = read_spec(unwrapped(spec))
        found.add(rewards.get(id).window(argument, max_steps))
    return tuple(sorted(found - {None}))


def reward_chain(spec: Spec) -> tuple[Spec, ...]:
    """A spec, the reward that it pays besides, the one that this pays besides, and so on."""
    found = [spec]
    while (inner := _inner(found[-1])) is not None:
        found.append(inner)
    return tuple(found)


def unwrapped(spec: Spec) -> Spec:
    """The reward that is paid besides prices at the end and constraints; itself where none is."""
    return reward_chain(spec)[-1]


def _inner(spec: Spec) -> Spec | None:
    id, _, options = read_spec(spec)
    return options.get("of") if rewards.get(id).wraps else None


def with_price(spec: Spec, price: float) -> Spec:
    """A spec that has a price, with another one, wherever it says so."""
    id, argument, options = read_spec(spec)
    of = _inner(spec)
    if of is None:
        return {id: argument, **options, "price": price}
    inside = with_price(of, price) if price_of(of) else of
    return {id: price if id == "priced" else argument, **options, "of": inside}


def without_price(spec: Spec) -> Spec:
    """A spec without its price: not paid at the end, and no overseer weighs it."""
    id, argument, options = read_spec(spec)
    of = _inner(spec)
    if of is not None:
        inside = without_price(of)
        return inside if id == "priced" else {id: argument, **options, "of": inside}
    kept = {name: value for name, value in options.items() if name not in PRICE_OPTIONS}
    if kept.get("aim") == "need":
        del kept["aim"]
    return {id: argument, **kept} if argument is not None or kept else id


def reward_permits(spec: Spec, permission: str) -> bool:
    """True if a spec lets its price pass: ``unfelt`` or ``paid_to_fail``."""
    *around, last = reward_chain(spec)
    priced = next((one for one in around if read_spec(one)[0] == "priced"), last)
    return bool(read_spec(priced)[2].get(permission, False))


def reads_acquired(specs: Iterable[Spec]) -> bool:
    """True if a reward of a study pays for units acquired in an episode: they are observed then."""
    every = (one for spec in specs for one in reward_chain(spec))
    # Of a wrapper that only passes it on, the class holds a property.
    return any(rewards.get(read_spec(one)[0]).reads_acquired is True for one in every)


def is_learnt(spec: Spec) -> bool:
    """True if what a spec pays is learnt by the seed: another reward for every training."""
    id, argument, _ = read_spec(unwrapped(spec))
    return bool(rewards.get(id).learns) and argument != 0


def takes_lookahead(spec: Spec) -> bool:
    """True if the spec is of a reward whose argument is an overseer's look-ahead."""
    return bool(rewards.get(read_spec(spec)[0]).looks_ahead)


def with_lookahead(spec: Spec, lookahead: int | str) -> Spec:
    """A spec that left its look-ahead open, with it."""
    id, _, options = read_spec(spec)
    return {id: lookahead, **options}
