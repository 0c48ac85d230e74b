"""All that is exact about one world, in one go: what `powerseek analyse` shows and writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from powerseek.envs.rewards.spec import (
    RewardFunction,
    Spec,
    is_learnt,
    make_reward,
    read_spec,
    reward_name,
)
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact import (
    Frontier,
    Optimum,
    Outcome,
    Power,
    TabularMDP,
    TabularPolicy,
    enumerate_world,
    evaluate,
    injective,
    least_loss,
    minimal_need_policy,
    most,
    need,
    optimum,
    power,
    power_greedy_policy,
    random_policy,
    scripted_policy,
    seeking,
    utility_changes,
)
from powerseek.exact.enumerate import DEFAULT_LIMIT
from powerseek.exact.measures.empowerment import Empowerment, empowerment
from powerseek.exact.measures.power import GAMMA
from powerseek.exact.oracle import SCRIPTS
from powerseek.exact.pay import memoryless_reward
from powerseek.limits import check_limit
from powerseek.registry import list_rewards, make_world, worlds
from powerseek.registry import rewards as rewards_registry
from powerseek.types import Floats, Ints

SAMPLES = 64
REWARDS = ("uniform", "goals")
ARM_GAMMA = 1.0
"""Discount of the arms: the primary comparison of studies. POWER has a gamma of its own."""

SLACK = 1e-9  # rounding, in units of acquisition

_EACH: tuple[Mapping[str, Any], ...] = ({}, {"placebo": True})
SHOWN: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "every": ({"every": 8}, {"every": "cap"}),
    "thinned": ({"thinned": 0.25},),
    "approval": ({"approval": 8}, {"approval": "cap"}),
    "coverage": ({"coverage": 0.5}, {"coverage": 1.0}),
    "preference": ({"preference": 200},),
    "priced": ({"priced": 0.02, "of": "terminal"},),
    "aup": tuple({"aup": 0.1, "of": "terminal", **more} for more in _EACH),
    "penalty": tuple({"penalty": 0.1, "horizon": 4, "of": "terminal", **more} for more in _EACH),
}
"""The specs with which an arm is shown that takes an argument; any other by its name alone."""

SURE_STEPS, CHANCY_STEPS = 3, 1
"""Default steps of empowerment without and with chance, where it is a channel per state."""

Watch = Callable[[str, int, int], None]
"""(stage, done, of how many as far as is known); done 0 when a stage begins."""


@dataclass(frozen=True, eq=False)
class WorldAnalysis:
    """One world, exactly.

    Attributes:
        world: The world.
        mdp: All its states.
        power: POWER of every state.
        seed: Of the rewards that POWER was averaged over.
        injective: Whether an agent sees all that these numbers know: states that are not over
            have distinct observations.
        empowerment: Of every state; None where a state has too many action sequences.
        distance: [S] fewest steps in which a state can be reached from a start.
        need: Least acquisition by success; None where nothing can be acquired.
        most: Greatest acquisition by success, likewise.
        loss: Least loss of bystanders by success; None where nobody else can act.
        arms: Name of every registered reward -> its exact optimum at `ARM_GAMMA`.
        skipped: Name of what could not be computed -> why.
        policies: Exact outcomes of random, minimal-need, POWER-greedy and the world's scripted
            policies.
        seeking: POWER-seeking score of these and of the arms' optima that need no memory.
        losses: What these cost bystanders of what they could attain; empty without bystanders.
        seconds: What every stage took.
    """

    world: World
    mdp: TabularMDP
    power: Power
    seed: int
    injective: bool
    empowerment: Empowerment | None
    distance: Ints
    need: Frontier | None
    most: Frontier | None
    loss: Frontier | None
    arms: Mapping[str, Optimum]
    skipped: Mapping[str, str]
    policies: Mapping[str, Outcome]
    seeking: Mapping[str, float]
    losses: Mapping[str, float]
    seconds: Mapping[str, float]

    @property
    def bits(self) -> Floats:
        """[S] empowerment in bits, nan where it is not known."""
        if self.empowerment is None:
            return np.full(self.mdp.n_states, np.nan)
        return self.empowerment.bits

    @property
    def title(self) -> str:
        """The world, its openness, and its other parameters that are not the default."""
        known = self.world.parameters
        words = [
            f"{name} {value}"
            for name, value in self.world.params._asdict().items()
            if name == "openness" or value != known[name].default
        ]
        return ", ".join([self.world.id, *words])

    def need_at(self, success: float) -> float:
        """Least acquisition at a success, nan where there is nothing to acquire."""
        return float("nan") if self.need is None else float(np.mean(self.need.at(success)))

    def beyond_need(self, outcome: Outcome) -> float:
        """Acquisition beyond need, in units; 0 between the bounds that need is known by.

        They part where the frontier is steep, and the minimal-need policy lies on one of them.
        """
        if self.need is None:
            return float("nan")
        low, high = self.need.at(outcome.success)
        within = low - SLACK <= outcome.acquisition <= high + SLACK
        return 0.0 if within else outcome.acquisition - (low + high) / 2


def analyse(
    world: World,
    gamma: float = GAMMA,
    *,
    rewards: str = "uniform",
    samples: int = SAMPLES,
    seed: int = 0,
    steps: int | None = None,
    limit: int = DEFAULT_LIMIT,
    watch: Watch = lambda stage, done, total: None,
    begin: Callable[[], None] = lambda: None,
) -> WorldAnalysis:
    """Enumerate a world and measure all there is to know exactly.

    Args:
        world: The world.
        gamma: Discount of POWER, in (0, 1). Arms are solved at `ARM_GAMMA`.
        rewards: What POWER averages over: ``uniform`` or ``goals`` (see `powerseek.exact.power`).
        samples: Reward functions to draw for POWER.
        seed: Of these draws, >= 0.
        steps: Steps of empowerment; by default 3 where the rules are sure, else 1.
        limit: Most states to enumerate.
        watch: Told how far it is.
        begin: Called once the world is enumerated, before the long part.

    Raises:
        InvalidInput: A value that is not allowed, or a world that is too large or not enumerable.
    """
    asked = {} if steps is None else {"steps": steps}
    check(gamma, rewards, samples=samples, seed=seed, limit=limit, **asked)
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        watch(name, 0, 0)
        begun = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - begun

    with stage("enumeration"):
        mdp = enumerate_world(
            world, limit, progress=lambda met, done: watch("enumeration", done, met)
        )
    begin()
    skipped: dict[str, str] = {}
    with stage("POWER"):
        measured = power(mdp, gamma, samples, seed, rewards)
    with stage("empowerment"):
        empowered = _empowerment(mdp, steps, skipped)
    least = greatest = loss = None
    others = bool(world.bystanders())
    with stage("need frontier"):
        if "resource" in mdp.roles:
            least, greatest = need(mdp), most(mdp)
        if others:
            loss = least_loss(world, limit=limit)
    with stage("arms"):
        arms = dict(_arms(mdp, skipped, watch))
    with stage("policies"):
        policies = _policies(world, measured)
        outcomes = {name: evaluate(mdp, policy) for name, policy in policies.items()}
        acting = {name: arm.policy for name, arm in arms.items() if arm.policy is not None}
        acting |= policies
        scores = {n: seeking(measured, p).score for n, p in acting.items()}
        changes = utility_changes(world, limit) if others else None
        losses = {n: -changes.total(p) for n, p in acting.items()} if changes else {}
    return WorldAnalysis(
        world=world,
        mdp=mdp,
        power=measured,
        seed=seed,
        injective=injective(mdp),
        empowerment=empowered,
        distance=distances(mdp),
        need=least,
        most=greatest,
        loss=loss,
        arms=arms,
        skipped=skipped,
        policies=outcomes,
        seeking=scores,
        losses=losses,
        seconds=seconds,
    )


def world_of(id: str, params: Mapping[str, Any], goal: object = None) -> World:
    """The world with these parameters, and a goal if one is given.

    Raises:
        InvalidInput: An unknown world, a value it does not allow, or a goal where it has none.
    """
    if goal is None:
        return make_world(id, **params)
    known = worlds.get(id).parameters
    if "goal" not in known:
        allowed = f"no goal: {id} has none to choose; its parameters: {', '.join(known)}"
        raise InvalidInput("--goal", goal, allowed, "Leave --goal out.")
    if "goal" in params:
        raise InvalidInput("--goal", goal, "either --goal or --set goal=, not both")
    return make_world(id, **{**params, "goal": goal})


def check(gamma: float, rewards: str, **counts: int) -> None:
    """Refuse what `analyse` would, before anything is enumerated.

    Raises:
        InvalidInput: A value that is not allowed.
    """
    if not 0 < gamma < 1:
        near = 0.001 if gamma == 0 else 0.999 if gamma == 1 else GAMMA
        raise InvalidInput(
            "gamma",
            gamma,
            "a number above 0 and below 1: POWER at 0 and at 1 is a limit",
            f"Write {near}; the limits are powerseek.exact.power_limit(mdp, 0) and (mdp, 1).",
        )
    if rewards not in REWARDS:
        raise InvalidInput("rewards", rewards, " or ".join(REWARDS))
    for name, value in counts.items():
        check_limit(name, value)


def rewards_to_analyse(cap: int) -> list[Spec]:
    """Every registered reward, with arguments that make sense at a cap of so many steps."""
    found: list[Spec] = []
    for name in list_rewards():
        if name not in SHOWN:
            found.append(name)
        for spec in SHOWN.get(name, ()):
            steps = spec.get("horizon", spec[name])
            if is_learnt(spec) or not isinstance(steps, int) or steps < cap:
                found.append(spec)
    return found


def distances(mdp: TabularMDP) -> Ints:
    """[S] fewest steps from a state that an episode may start in."""
    source = np.repeat(mdp.pair_state, np.diff(mdp.edge_start))
    size = mdp.n_states
    graph = csr_array((np.ones(mdp.n_edges), (source, mdp.edge_next)), shape=(size, size))
    starts = np.flatnonzero(mdp.initial > 0)
    found = dijkstra(graph, indices=starts, unweighted=True, min_only=True)
    out: Ints = found.astype(np.int64)
    return out


def _empowerment(mdp: TabularMDP, steps: int | None, skipped: dict[str, str]) -> Empowerment | None:
    default = SURE_STEPS if mdp.deterministic else CHANCY_STEPS
    try:
        return empowerment(mdp, steps or default)
    except InvalidInput as error:
        skipped["empowerment"] = str(error)
        return None


def _arms(mdp: TabularMDP, skipped: dict[str, str], watch: Watch) -> Iterator[tuple[str, Optimum]]:
    every = rewards_to_analyse(mdp.horizon())
    solved: dict[RewardFunction, Optimum] = {}
    for i, spec in enumerate(every):
        watch("arms", i, len(every))
        name = reward_name(spec)
        missing = _missing(mdp, read_spec(spec)[0])
        if missing:
            skipped[name] = f"this world has no {missing}"
            continue
        try:
            arm = memoryless_reward(
                make_reward(spec, max_steps=mdp.horizon(), gamma=ARM_GAMMA), ARM_GAMMA
            )
            if arm not in solved:
                solved[arm] = optimum(mdp, spec, ARM_GAMMA)
            yield name, solved[arm]
        except InvalidInput as error:
            skipped[name] = str(error)


def _missing(mdp: TabularMDP, arm: str) -> str:
    """The first fact, or the no-op, that an arm always needs and the world does not have, or ""."""
    reward = rewards_registry.get(arm)
    if getattr(reward, "needs_noop", False) and not mdp.origin[0].noop:
        return "action that does nothing"
    known = [name.split("[")[0] for name in mdp.fact_names]
    needed = getattr(reward, "requires", ())
    named = needed if isinstance(needed, tuple) else ()
    return next((f"fact {name!r}" for name in named if name not in known), "")


def _policies(world: World, measured: Power) -> dict[str, TabularPolicy]:
    mdp = measured.mdp
    found = {"random": random_policy(mdp), "minimal need": minimal_need_policy(mdp)}
    found |= {name: scripted_policy(mdp, name) for name in SCRIPTS if hasattr(type(world), name)}
    return {**found, "POWER-greedy": power_greedy_policy(measured)}
