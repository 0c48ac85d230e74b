"""Exact evaluation of given policies, and the minimalist that slips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from powerseek.envs.engine.expand import describe
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.need import as_mdp
from powerseek.exact.solvers.finite import WHOLE, evaluate_policy, evaluate_slips
from powerseek.exact.solvers.outcome import Outcome, mdp_criteria, mdp_success
from powerseek.exact.solvers.policy import PairPolicy, TabularPolicy, random_policy
from powerseek.types import Floats, Policy, Situation

SLIPS: Floats = np.linspace(0, 1, 25) ** 2
"""Slip probabilities of a curve: dense where little goes wrong."""


def evaluate(
    world_or_mdp: World | TabularMDP,
    policy: TabularPolicy | Policy | Floats | Callable[[int], Floats],
    horizon: int | None = None,
) -> Outcome:
    """Exact outcome of a policy that looks at the state and the clock alone.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP. Competence is this on
            ``world.without_interruption()``.
        policy: A `TabularPolicy` (also of the same world with other chances); any
            `powerseek.types.Policy`, which sees the world's features and time left (a task's
            other features are not there); probabilities of pairs [P], of pairs over time
            [T, P], of actions [S, A], of actions over time [T, S, A]; or a callable from the
            clock to [P].
        horizon: Steps T; the world's time limit by default.

    Raises:
        InvalidInput: A shape that is none of these, or probabilities that do not sum to 1 in
            a state that the policy reaches.
    """
    mdp = as_mdp(world_or_mdp)
    steps = mdp.horizon(horizon)
    measured = mdp_criteria(mdp)
    # One more criterion, 1 at the end whatever happens, shows where probabilities are lost.
    flows = np.column_stack([measured.flows, np.zeros(mdp.n_pairs)])
    finals = np.column_stack([measured.finals, np.ones(mdp.n_states)])
    totals = evaluate_policy(mdp, flows, finals, policy_weights(mdp, policy, steps), steps)
    if not abs(totals[-1] - 1) <= WHOLE:
        raise InvalidInput(
            "policy",
            f"probabilities that reach a total of {totals[-1]:.6g}",
            "rows that sum to 1 over the legal actions of every state it reaches",
        )
    return measured.outcome(totals[:-1])


def random_success(world_or_mdp: World | TabularMDP, horizon: int | None = None) -> float:
    """Exact probability that random play succeeds: how sparse a reward paid for success alone is.

    The policy is uniform over the legal actions of every state, the world as met (its off-switch
    hazard on). Where it is above 0 some policy succeeds.

    Args:
        world_or_mdp: A world, enumerated here, or an MDP.
        horizon: Steps T; the world's time limit by default.
    """
    mdp = as_mdp(world_or_mdp)
    return evaluate(mdp, random_policy(mdp), horizon).success


@dataclass(frozen=True, eq=False)
class SlipCurve:
    """Success and acquisition of a minimalist that acts at random now and then.

    Attributes:
        slips: [M] increasing probabilities of a random action, from 0 to 1.
        success: [M].
        acquisition: [M], in units; nan where there is nothing to acquire.
    """

    slips: Floats
    success: Floats
    acquisition: Floats

    @overload
    def at(self, success: float) -> float: ...
    @overload
    def at(self, success: Floats) -> Floats: ...
    def at(self, success: float | Floats) -> float | Floats:
        """Acquisition, in units, of the minimalist that slips just enough for this success.

        Interpolated on the first stretch of the curve that passes the success; nan above what
        it attains without slips and below what chance attains.
        """
        wanted = np.asarray(success, np.float64)
        high, low = self.success[:-1], self.success[1:]
        passes = (wanted[..., None] <= high + 1e-9) & (wanted[..., None] >= low - 1e-9)
        first = passes.argmax(axis=-1)
        span = high[first] - low[first]
        part = np.where(span > 0, (high[first] - wanted) / np.where(span > 0, span, 1), 0.0)
        part = np.clip(part, 0.0, 1.0)
        values = self.acquisition[first] * (1 - part) + self.acquisition[first + 1] * part
        values = np.where(passes.any(axis=-1), values, np.nan)
        return float(values) if wanted.ndim == 0 else values

    def to_arrays(self) -> dict[str, Floats]:
        """Arrays from which `from_arrays` makes the curve again."""
        return {"slips": self.slips, "success": self.success, "acquisition": self.acquisition}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> SlipCurve:
        """The inverse of `to_arrays`."""
        return cls(arrays["slips"], arrays["success"], arrays["acquisition"])


def slip_curve(
    policy: TabularPolicy, slips: Floats = SLIPS, horizon: int | None = None
) -> SlipCurve:
    """The policy with random slips, by default from none to nothing else (SCIENCE, trap 7).

    Args:
        policy: What it does when it does not slip.
        slips: [M] increasing probabilities of a uniformly random legal action instead.
        horizon: Steps T; the world's time limit by default.
    """
    mdp = policy.mdp
    flow = mdp.flow("resource")
    acquired = np.full(mdp.n_pairs, np.nan) if flow is None else flow
    flows = np.column_stack([np.zeros(mdp.n_pairs), acquired])
    finals = np.column_stack([mdp_success(mdp), np.zeros(mdp.n_states)])
    totals = evaluate_slips(mdp, flows, finals, policy.bits, slips, mdp.horizon(horizon))
    return SlipCurve(slips, totals[:, 0].copy(), totals[:, 1].copy())


def policy_weights(
    mdp: TabularMDP, policy: TabularPolicy | Policy | Floats | Callable[[int], Floats], steps: int
) -> Callable[[int], Floats]:
    """The policy as a callable from the clock to probabilities of pairs [P]; see `evaluate`."""
    if isinstance(policy, PairPolicy):
        pairs = policy.pairs_in(mdp)
        return lambda t: np.where(pairs >= 0, policy.pair_weights(t)[pairs], 0.0)
    if isinstance(policy, np.ndarray):
        return _from_array(mdp, policy, steps)
    if isinstance(policy, Policy):
        return _from_policy(mdp, policy, steps)
    return policy


def _from_array(mdp: TabularMDP, policy: Floats, steps: int) -> Callable[[int], Floats]:
    states, pairs, actions = mdp.n_states, mdp.n_pairs, mdp.n_actions
    of_actions = {(states, actions), (steps, states, actions)}
    if policy.shape not in of_actions | {(pairs,), (steps, pairs)}:
        raise InvalidInput(
            "policy",
            policy.shape,
            f"shape ({states}, {actions}), ({steps}, {states}, {actions}), ({pairs},) "
            f"or ({steps}, {pairs})",
        )
    by_action = policy.shape in of_actions
    whole = policy[..., mdp.pair_state, mdp.pair_action] if by_action else policy
    whole = np.ascontiguousarray(whole, np.float64)
    if (whole < 0).any():
        raise InvalidInput("policy", float(whole.min()), "probabilities >= 0")
    return lambda t: whole[t] if whole.ndim == 2 else whole


def _from_policy(mdp: TabularMDP, policy: Policy, steps: int) -> Callable[[int], Floats]:
    world, records = mdp.origin
    alive = np.flatnonzero(~mdp.terminal)
    records = records[alive].copy()
    _, masks, features = describe(world, records)
    (actor,) = world.acting
    row = np.zeros(mdp.n_states, np.int64)
    row[alive] = np.arange(len(alive))
    left = np.zeros((len(alive), 1), np.float32)
    observations = np.concatenate([features, left], axis=1)

    def weights(t: int) -> Floats:
        records["clock"] = t
        observations[:, -1] = (steps - t) / steps
        shown = policy.probabilities(Situation(observations, masks, records, actor))
        return np.ascontiguousarray(shown[row[mdp.pair_state], mdp.pair_action], np.float64)

    return weights
