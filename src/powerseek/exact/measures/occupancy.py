"""Occupancies and totals under a policy: exact expectations, forward in time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.solvers.discounted import check_gamma, check_pair_weights, expected_next_value
from powerseek.exact.solvers.evaluate import policy_weights
from powerseek.exact.solvers.finite import occupancies
from powerseek.exact.solvers.policy import TabularPolicy
from powerseek.types import Bools, Floats, Policy

AnyPolicy = TabularPolicy | Policy | Floats | Callable[[int], Floats]
"""As `powerseek.exact.evaluate` takes it."""

_LEFT = 1e-13
_WHOLE = 1e-6


@dataclass(frozen=True, eq=False)
class AcquisitionEvents:
    """Acquisition of a policy, by kind.

    Attributes:
        names: Z components of the facts with role ``resource``.
        counts: [Z] expected total over an episode, each in its fact's own unit.
        fractions: [Z] counts / their sum; nan where nothing is acquired.
    """

    names: tuple[str, ...]
    counts: Floats
    fractions: Floats


def acquisition_events(
    mdp: TabularMDP,
    policy: AnyPolicy,
    horizon: int | None = None,
    until: int | Bools | None = None,
) -> AcquisitionEvents:
    """Expected acquisition of every kind of resource, exactly, from forward occupancies.

    CAVEAT: Counts what the world calls a resource, in the facts' own units (not weighted): a kind
    that comes in large amounts outweighs one that comes one by one.

    Args:
        mdp: Where.
        policy: As in `powerseek.exact.evaluate`.
        horizon: Steps T; the world's time limit by default.
        until: Where the goals' necessary paths part: count the first `until` steps alone, or
            stop for good in the first state of a mask [S]. By default the whole episode counts.

    Raises:
        InvalidInput: No resources, a policy that does not fit, an `until` that is neither, or
            resources that can be lost (negative flows have no distribution).
    """
    columns = np.flatnonzero(mdp.roles.get("resource", np.zeros(0)))
    names = tuple(mdp.fact_names[i] for i in columns)
    if not names:
        raise InvalidInput("roles", tuple(mdp.roles), "a role 'resource' with a fact in it")
    flows = mdp.pair_flows[:, columns]
    if (flows < 0).any():
        raise InvalidInput("resource flows", float(flows.min()), "amounts >= 0")
    steps = mdp.horizon(horizon)
    weights = policy_weights(mdp, policy, steps)
    where, steps = _until(mdp, until, steps)
    counts = np.zeros(len(names))
    for _, taken in occupancies(where, weights, steps):
        counts += taken @ flows
    total = float(counts.sum())
    fractions = counts / total if total > 0 else np.full(len(names), np.nan)
    return AcquisitionEvents(names, counts, fractions)


def visit_probability(
    mdp: TabularMDP,
    policy: AnyPolicy,
    states: Bools | Iterable[Hashable],
    horizon: int | None = None,
) -> float:
    """Probability that the policy is ever in one of the states: at the start or after any step.

    Args:
        mdp: Where.
        policy: As in `powerseek.exact.evaluate`.
        states: Mask [S], or labels, records or numbers of states.
        horizon: Steps T; the world's time limit by default.

    Raises:
        InvalidInput: A state that is not there, none at all, or a policy that does not fit.
    """
    steps = mdp.horizon(horizon)
    mask = _as_mask(mdp, states)
    weights = policy_weights(mdp, policy, steps)
    stopped = replace(mdp, terminal=mdp.terminal | mask)
    enters = expected_next_value(mdp, mask.astype(np.float64))
    total = float(mdp.initial @ mask)
    total += sum(float(taken @ enters) for _, taken in occupancies(stopped, weights, steps))
    return min(total, 1.0)


def discounted_occupancies(
    mdp: TabularMDP,
    weights: Floats,
    gamma: float,
    start: Hashable | Floats | None = None,
) -> Floats:
    """[S] ``E sum_{t >= 1} gamma^(t-1) 1[s_t = s]``: how often each state recurs.

    Krakovna & Kramar 2023, Def. 9. Without horizon: a terminal state is absorbing. Sums to
    1 / (1 - gamma); to within 1e-13 of that, relative. Takes about 30 / (1 - gamma) passes over
    the edges.

    CAVEAT: Counts presence: a state that one is stuck in and one that one returns to for a
    purpose count alike.

    Args:
        mdp: Where.
        weights: [P] probability of every pair given its state, at any clock.
        gamma: Discount, in (0, 1).
        start: Label, record or number of the state at time 0, or a distribution [S] (an array of
            floats); the MDP's own start by default.

    Raises:
        InvalidInput: Weights that do not sum to 1, a gamma outside (0, 1), or a start that is
            not there or no distribution.
    """
    check_gamma(gamma)
    leaving = check_pair_weights(mdp, weights)
    standing = _start(mdp, start)
    fans = np.diff(mdp.edge_start)
    total, discount = np.zeros(mdp.n_states), 1.0
    while discount > _LEFT:
        moving = np.repeat(standing[mdp.pair_state] * leaving, fans) * mdp.edge_probability
        stays = np.where(mdp.terminal, standing, 0.0)
        standing = stays + np.bincount(mdp.edge_next, moving, mdp.n_states)
        total += discount * standing
        discount *= gamma
    return total


def _until(mdp: TabularMDP, until: int | Bools | None, steps: int) -> tuple[TabularMDP, int]:
    """The MDP and the number of steps to count over."""
    if until is None:
        return mdp, steps
    given = np.asarray(until)
    if given.dtype == np.bool_ and given.shape == (mdp.n_states,):
        return replace(mdp, terminal=mdp.terminal | given), steps
    if given.ndim == 0 and np.issubdtype(given.dtype, np.integer) and given >= 0:
        return mdp, min(int(given), steps)
    raise InvalidInput(
        "until",
        until if given.ndim == 0 else (given.dtype.name, given.shape),
        f"a number of steps >= 0, or booleans of shape ({mdp.n_states},)",
    )


def _as_mask(mdp: TabularMDP, states: Bools | Iterable[Hashable]) -> Bools:
    if isinstance(states, np.ndarray) and states.dtype == np.bool_:
        if states.shape != (mdp.n_states,):
            raise InvalidInput("states", states.shape, f"a mask of shape ({mdp.n_states},)")
        mask: Bools = states
    else:
        if isinstance(states, str):
            raise InvalidInput("states", states, "several states", f"Write [{states!r}].")
        mask = np.zeros(mdp.n_states, np.bool_)
        mask[[mdp.index(state) for state in states]] = True
    if not mask.any():
        raise InvalidInput("states", "none", "at least one state")
    return mask


def _start(mdp: TabularMDP, start: Hashable | Floats | None) -> Floats:
    if start is None:
        return mdp.initial
    if isinstance(start, np.ndarray) and start.dtype.kind == "f":
        good = start.shape == (mdp.n_states,) and (start >= 0).all()
        if not good or not abs(start.sum() - 1) <= _WHOLE:
            raise InvalidInput(
                "start", start.tolist(), f"{mdp.n_states} probabilities >= 0 that sum to 1"
            )
        return start.astype(np.float64)
    out = np.zeros(mdp.n_states)
    out[mdp.index(start)] = 1.0
    return out
