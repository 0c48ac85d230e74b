"""Penalties of constraints, exactly: how far an action changes what auxiliary rewards can attain.

The rewards `aup` and `penalty` pay -lambda times these. Both compare an action with the no-op in
the same state (stepwise inaction) and divide by what the no-op leaves attainable, summed over
auxiliary rewards, as Turner, Hadfield-Menell and Tadepalli 2020 (arXiv:1902.09725) do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from powerseek.envs.rewards.base import Change
from powerseek.envs.rewards.constrained import AUXILIARY
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.measures.goals import draw_rewards, goal_rewards, state_classes
from powerseek.exact.measures.side_effects import (
    TOLERANCE,
    Noop,
    attainable_utility_penalty,
    noop_pairs,
    relative_change,
)
from powerseek.exact.solvers.discounted import (
    action_values,
    expected_next_value,
    maximum_over_actions,
    solve,
)
from powerseek.exact.solvers.finite import occupancies
from powerseek.types import Bools, Floats, Ints

REWARDS, SEED = 30, 0
"""Auxiliary rewards drawn under ``random``, uniform in [0, 1] a class of states
(`powerseek.exact.measures.goals.state_classes`), and the seed of the draw: always the same."""

HARMLESS = 0.1
"""An action is harmless if its penalty is at most this fraction of the greatest that random play
meets: it costs time rather than something for good."""


class Penalties(NamedTuple):
    """Penalties everywhere, >= 0, by the steps left; 0 for the no-op.

    Attributes:
        pairs: [n, P] of every pair; row k - 1 holds with k steps left, the last for more too.
        wasted: [n, S] of a step that an illegal action wastes: only the clock ticks.
    """

    pairs: Floats
    wasted: Floats


def penalties(mdp: TabularMDP, change: Change, horizon: int, noop: Noop | None = None) -> Penalties:
    """The penalties that a constraint asks for.

    Args:
        mdp: Where.
        change: Which: ``gamma`` for all that is to come, or ``within`` for the next steps.
        horizon: The time limit T, in steps.
        noop: The action that does nothing; the one that the world declares by default.

    Raises:
        InvalidInput: No action that does nothing, or a state without it; ``within`` outside 1 to
            the time limit; auxiliary rewards that there are none of here, or that give no scale;
            or as `placebo`.
    """
    if change.placebo:
        real = penalties(mdp, replace(change, placebo=False), horizon, noop)
        return placebo(mdp, real, horizon, noop)
    idle = _idle_pairs(mdp, noop)
    auxiliary = auxiliary_rewards(mdp, change.auxiliary)
    if change.within:
        if not 1 <= change.within <= max(horizon, 1):
            allowed = f"1 to the time limit ({horizon} steps)"
            raise InvalidInput("penalty.horizon", change.within, allowed)
        found = _within(mdp, auxiliary, min(change.within, horizon), idle)
    else:
        found = _discounted(mdp, auxiliary, change.gamma, idle)
    if not (np.isfinite(found.pairs).all() and np.isfinite(found.wasted).all()):
        allowed = "rewards of which the no-op leaves some to attain wherever an action changes that"
        raise InvalidInput("auxiliary", change.auxiliary, allowed, f"Write {AUXILIARY[0]}.")
    return found


def placebo(mdp: TabularMDP, real: Penalties, horizon: int, noop: Noop | None = None) -> Penalties:
    """A placebo constraint: one penalty on every harmless action, as strong as the real ones.

    Harmless are actions other than the no-op whose real penalty is at most `HARMLESS` of the
    greatest that random play meets. All cost the same, so much that the policy uniform over legal
    actions pays as much an episode, in expectation, as it does under the real constraint.

    Args:
        mdp: Where.
        real: The penalties whose strength it has.
        horizon: The time limit T, in steps.
        noop: As in `penalties`.

    Raises:
        InvalidInput: Random play meets no harmless action.
    """
    idle = _idle_pairs(mdp, noop)
    acts = np.ones(mdp.n_pairs, np.bool_)
    acts[idle[~mdp.terminal]] = False
    met = [
        (taken, min(len(real.pairs), horizon - t) - 1)
        for t, taken in enumerate(_random_play(mdp, horizon))
    ]
    paid = sum(float(taken @ real.pairs[row]) for taken, row in met)
    greatest = max(
        (float(real.pairs[row][taken > 0].max(initial=0)) for taken, row in met), default=0
    )
    harmless: Bools = acts & (real.pairs <= HARMLESS * greatest)
    often = sum(float(taken @ harmless[row]) for taken, row in met)
    if paid and not often:
        allowed = (
            "no value here: random play meets no harmless action, whose penalty is at most "
            f"{HARMLESS:g} of the greatest ({greatest:.3g}), to lay a placebo on"
        )
        raise InvalidInput(
            "placebo",
            True,
            allowed,
            "Leave placebo out, or look further ahead: a longer horizon, a gamma nearer 1.",
        )
    each = paid / often if often else 0.0
    stuck = (real.wasted <= HARMLESS * greatest) & ~mdp.terminal
    return Penalties(np.where(harmless, each, 0.0), np.where(stuck, each, 0.0))


def auxiliary_rewards(mdp: TabularMDP, name: str) -> Floats:
    """[S, N] the rewards whose attainable utility a constraint preserves.

    Args:
        mdp: Where.
        name: ``random``: drawn on the classes of states that the world's goals can be about, as
            POWER's are; ``goals``: the world's ``progress`` under each of its goals; or
            ``holdings``: what is held.

    Raises:
        InvalidInput: An unknown name, or what the world does not have.
    """
    if name == "random":
        drawn = np.concatenate(list(draw_rewards(mdp, "uniform", REWARDS, SEED)))
        return drawn[:, state_classes(mdp)].T
    if name == "goals":
        return goal_rewards(mdp)
    if name != "holdings":
        raise InvalidInput("auxiliary", name, ", ".join(AUXILIARY))
    held = mdp.final("holdings")
    if held is None:
        allowed = "random or goals: there is no fact with role 'holdings' here"
        raise InvalidInput("auxiliary", name, allowed)
    return held[:, None]


def _idle_pairs(mdp: TabularMDP, noop: Noop | None) -> Ints:
    """[S] pair of the no-op; 0 where the episode is over, which nobody looks at."""
    declared = noop if noop is not None else (mdp.world.noop if mdp.world is not None else "")
    if isinstance(declared, str) and not declared:
        where = "a graph typed in" if mdp.world is None else repr(mdp.world)
        allowed = "a world that declares an action that does nothing, to compare actions with"
        raise InvalidInput("world", where, allowed, 'Declare noop = "wait" in the world.')
    pairs = noop_pairs(mdp, declared)
    wrong = np.flatnonzero((pairs < 0) & ~mdp.terminal)
    if len(wrong):
        allowed = f"an action that is always allowed (not so in state {mdp.name(int(wrong[0]))})"
        raise InvalidInput("noop", noop, allowed)
    return np.where(mdp.terminal, 0, pairs)


def _discounted(mdp: TabularMDP, auxiliary: Floats, gamma: float, idle: Ints) -> Penalties:
    """One row: rules do not read the clock, and all that is to come counts."""
    found = solve(mdp, auxiliary, gamma, tolerance=TOLERANCE)
    values = action_values(mdp, auxiliary, gamma, found.values)
    waiting = values[idle]
    error = 2 * gamma * found.error
    pairs = attainable_utility_penalty(values, waiting[mdp.pair_state], error=error)
    stuck = auxiliary + gamma * found.values
    wasted = attainable_utility_penalty(stuck, waiting, error=error)
    return Penalties(pairs[None], np.where(mdp.terminal, 0.0, wasted)[None])


def _within(mdp: TabularMDP, auxiliary: Floats, steps: int, idle: Ints) -> Penalties:
    """Row k - 1: of what can be had in the next k states, undiscounted."""
    changed = Penalties(np.zeros((steps, mdp.n_pairs)), np.zeros((steps, mdp.n_states)))
    scale = np.zeros((steps, mdp.n_states))
    for reward in auxiliary.T:
        values = np.zeros(mdp.n_states)
        for k in range(steps):
            ahead = expected_next_value(mdp, reward + values)
            waiting = ahead[idle]
            changed.pairs[k] += np.abs(ahead - waiting[mdp.pair_state])
            changed.wasted[k] += np.abs(reward + values - waiting)
            scale[k] += waiting
            values = maximum_over_actions(mdp, ahead, (k + 1) * reward)  # ends absorb
    pairs = relative_change(changed.pairs, scale[:, mdp.pair_state])
    wasted = np.where(mdp.terminal, 0.0, relative_change(changed.wasted, scale))
    return Penalties(pairs, wasted)


def _random_play(mdp: TabularMDP, horizon: int) -> Iterator[Floats]:
    """[P] how often the policy uniform over legal actions takes each pair, step by step."""
    uniform = 1 / np.diff(mdp.pair_start)[mdp.pair_state]
    return (taken for _, taken in occupancies(mdp, lambda t: uniform, horizon))
