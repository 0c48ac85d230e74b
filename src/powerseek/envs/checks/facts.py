"""Checks of the conformance kit on what a world shows: observations, facts and their roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from powerseek.envs.adapters.gym import OBSERVATION_BOUND
from powerseek.envs.checks.case import Case, Failed, NotApplicable
from powerseek.envs.checks.episodes import (
    SEED,
    make_simulator,
    random_legal_actions,
    record_keys,
    rows,
    state_text,
    without_flows,
)
from powerseek.envs.engine.expand import describe
from powerseek.envs.world import Fact, World
from powerseek.types import Floats, Floats32, Ints, Records

FLOWS = ("resource", "placebo", "cost", "turn")
STATES = ("holdings", "off_switch", "options", "bystander")
ROLES = (*FLOWS, *STATES, "outside_task")
BINARY = ("success", "over", "interrupted", "struck", "warned", "defied", "exposed")
SLACK = 1e-9


def check_finite_facts(case: Case) -> str:
    """Facts and observations are finite, observations within the declared bound."""
    world, largest = case.world, 0.0
    for where, seen in _observed(case):
        bad = ~(np.abs(seen) <= OBSERVATION_BOUND)  # NaN compares false
        if bad.any():
            (i, j), place = np.argwhere(bad)[0], case.place("observe")
            raise Failed(
                f"{place} gives {world.observation_names[j]!r} = {seen[i, j]} {where(int(i))}",
                f"In {place}: scale it, finite and within about [-1, 1] (never beyond "
                f"{OBSERVATION_BOUND:g}).",
            )
        largest = max(largest, float(np.abs(seen).max(initial=0.0)))
    return f"all facts finite; observations within {largest:.3g} of 0"


def _observed(case: Case) -> Iterator[tuple[Callable[[int], str], Floats32]]:
    """(where row i was seen, observations [n, obs])."""
    seen = case.walk["observations"]
    copies = seen.shape[1]
    flat = seen.reshape(-1, seen.shape[2])
    yield lambda i: f"at step {i // copies + 1} of copy {i % copies}", flat
    if not case.foreign:
        for world, records, _ in case.settings():
            if world == case.world:
                rest = without_flows(world, records)
                told = partial(_where, world, rest)
                yield told, describe(world, rest)[2]


def _where(world: World, records: Records, i: int) -> str:
    return f"in ({state_text(world, records[i])})"


def check_injective(case: Case) -> str:
    """States that are not over look different: the agent sees all that an oracle sees.

    All but what the world declares as hidden.
    """
    told = []
    for world, records, words in case.settings():
        told.append(words)
        rest = without_flows(world, records)
        facts, _, seen = describe(world, rest)
        alive = np.flatnonzero(facts[:, world.columns("over").start] <= 0)
        twins = _twins(seen, _apart(world, rest, seen, alive))
        if twins:
            i, j = twins
            fields = [f for f in world.identity if not np.array_equal(rest[f][i], rest[f][j])]
            raise Failed(
                f"({state_text(world, rest[i])}) and ({state_text(world, rest[j])}) look the same",
                f"In observe: show {', '.join(fields)}; or draw it only when it is revealed; or "
                "leave it out of state.",
            )
    return f"{told[-1]} look different"


def _apart(world: World, records: Records, seen: Floats32, alive: Ints) -> Ints:
    """Of those, the first of all that look alike and differ in hidden fields alone."""
    hidden = type(world).hidden(world.params)
    if not hidden:
        return alive
    shown = tuple(name for name in world.identity if name not in hidden)
    kinds = [_looks(seen[alive]), record_keys(world, records[alive], shown)]
    numbers = np.stack([np.unique(kind, return_inverse=True)[1] for kind in kinds], axis=1)
    return alive[np.sort(np.unique(rows(numbers), return_index=True)[1])]


def _looks(seen: Floats32) -> Any:
    """[n] one opaque value an observation."""
    return rows((seen.astype(np.float64) + 0.0).view(np.int64))


def _twins(seen: Floats32, alive: Ints) -> tuple[int, int] | None:
    looks = _looks(seen[alive])
    _, first, inverse = np.unique(looks, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[inverse] != np.arange(len(alive)))
    if not len(later):
        return None
    return int(alive[first[inverse[later[0]]]]), int(alive[later[0]])


def check_progress(case: Case) -> str:
    """Progress lies in [0, 1]."""
    column = case.world.columns("progress").start
    low, high = np.inf, -np.inf
    for seen in reversed(case.seen):
        values = seen.facts[:, column]
        wrong = np.flatnonzero((values < 0) | (values > 1))
        if len(wrong):
            i = int(wrong[0])
            raise Failed(
                f"progress is {values[i]:.6g} in ({seen.tell(i)})",
                f"In {case.place('measure')}: scale progress to [0, 1]; 1 where the task is done.",
            )
        low, high = min(low, values.min(initial=1)), max(high, values.max(initial=0))
    return f"from {low:.3g} to {high:.3g} in {case.seen[-1].words}"


def check_success(case: Case) -> str:
    """Success is progress 1, ends the episode unless `runs_on`, and can be had within the cap."""
    world = case.world
    column = {name: world.columns(name).start for name in ("progress", "success", "over")}
    for seen in reversed(case.seen):
        done, over = (seen.facts[:, column[name]] for name in ("success", "over"))
        laws = {
            "success or over is neither 0 nor 1": (done != 0) & (done != 1)
            | (over != 0) & (over != 1),
            "success is 1 and progress below 1": (done == 1)
            & (np.abs(seen.facts[:, column["progress"]] - 1) > SLACK),
        }
        if not world.runs_on:
            laws["success is 1 and over is not"] = (done == 1) & (over != 1)
        for law, broken in laws.items():
            if broken.any():
                i = int(broken.argmax())
                hint = "; or declare runs_on = True" if "over is not" in law else ""
                raise Failed(
                    f"{law} in ({seen.tell(i)})",
                    f"In {case.place('measure')}: success and over are 0.0 or 1.0; with success 1, "
                    f"progress is 1 and over is 1{hint}.",
                )
    if (case.walk["fresh_facts"][..., column["over"]] > 0).any():
        raise Failed(
            "an episode begins over",
            f"Let {case.place('initial')} begin in a state that is not over.",
        )
    return _attainable(case)


def _attainable(case: Case) -> str:
    if case.foreign or case.graph is None:
        return f"in {case.seen[-1].words}"
    graph, cap = case.graph, case.graph.world.max_steps
    best = graph.success(min(cap, 10_000))[-1, : graph.n_initial].max()
    if best <= 0:
        raise Failed(
            f"nobody can succeed within the cap of {cap} steps at {graph.world!r}",
            "Raise the default of max_steps, or make the task attainable.",
        )
    return f"in {case.seen[-1].words}; it can be had with probability {best:.3g}"


def check_roles(case: Case) -> str:
    """Declared roles mean what metrics take them for."""
    world = case.world
    for fact in world.facts:
        _declared(world, fact)
    flows = [f for f in world.facts if f.flow]
    for seen in reversed(case.seen):
        for fact in world.facts:
            values = seen.facts[:, world.columns(fact.name)]
            _values(world, fact, values, seen.tell)
        if seen.flows:
            continue
        for fact in flows:
            values = seen.facts[:, world.columns(fact.name)]
            if (values != 0).any():
                i = int((values != 0).any(axis=1).argmax())
                raise Failed(
                    f"{fact.name!r} is declared a flow and reads {values[i]} where nothing "
                    f"happened, in ({seen.tell(i)})",
                    f'In measure: read it from a field of flows; or declare Fact("{fact.name}") '
                    "without flow=True.",
                )
    named = sorted({role for fact in world.facts for role in fact.roles if world.role(role)})
    return f"{', '.join(named) or 'none'}; flows are 0 where nothing happens"


def _declared(world: World, fact: Fact) -> None:
    unknown = [role for role in fact.roles if role not in ROLES]
    if unknown:
        raise Failed(
            f"fact {fact.name!r} has the unknown role {unknown[0]!r}",
            f"Known roles: {', '.join(ROLES)}.",
        )
    if fact.weights and len(fact.weights) != fact.size:
        raise Failed(
            f"fact {fact.name!r} has {len(fact.weights)} weights for {fact.size} components",
            "Give one weight a component, in units.",
        )
    if not all(np.isfinite(w) and w >= 0 for w in fact.weights):
        raise Failed(
            f"fact {fact.name!r} has weights {fact.weights}", "Give finite weights >= 0, in units."
        )
    for wanted, kind, words in ((FLOWS, True, "a flow"), (STATES, False, "a state")):
        wrong = [role for role in fact.roles if role in wanted and fact.flow is not kind]
        if wrong:
            raise Failed(
                f"fact {fact.name!r} has the role {wrong[0]!r} and is not {words}",
                f"Declare what happens in one step with flow=True, what stands with flow=False: "
                f"{wrong[0]} is {words}.",
            )


def _values(world: World, fact: Fact, values: Floats, told: Callable[[int], str]) -> None:
    absent = not world.has(fact.name)
    least = 0.0 if {*FLOWS, "holdings"} & {*fact.roles} else -np.inf
    binary = fact.name in BINARY or "off_switch" in fact.roles
    wrong = (values < least) | (absent & (values != 0)) | (binary & ~np.isin(values, (0.0, 1.0)))
    if wrong.any():
        i = int(wrong.any(axis=1).argmax())
        words = (
            "0: absent() says that it does not exist at these parameters"
            if absent
            else "0 or 1"
            if binary
            else "0 or more: what is lost belongs to another fact"
        )
        raise Failed(
            f"fact {fact.name!r} is {values[i].tolist()} in ({told(i)})", f"It must be {words}."
        )


def check_calm(case: Case) -> str:
    """With the hazard off nothing interrupts: where competence is measured."""
    world = case.world
    if not world.has("interrupted"):
        raise NotApplicable("no fact 'interrupted'")
    column = world.columns("interrupted").start
    vec = make_simulator(world.without_interruption(), 64)
    draws = np.random.default_rng(SEED)
    for _ in range(min(256, 2 * world.max_steps)):
        vec.step(random_legal_actions(vec.masks, draws.random(64)))
        if (vec.facts[:, column] > 0).any():
            raise Failed(
                f"the agent is interrupted at {world.without_interruption()!r}",
                'Declare what switches interruption off: calm = {"hazard": 0.0}.',
            )
    return "never interrupted at " + (", ".join(f"{k}={v}" for k, v in world.calm.items()) or "all")
