"""Checks of the conformance kit on chance and choice: the tape and the masks."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from powerseek.envs.checks.case import Case, Failed, NotApplicable
from powerseek.envs.checks.episodes import (
    SEED,
    make_simulator,
    random_legal_actions,
    record_from_words,
    rows,
    state_text,
    without_flows,
    words,
)
from powerseek.envs.checks.graph import BRANCHES
from powerseek.envs.engine.expand import Expansion, TooManyBranches, expand, initial_branches
from powerseek.envs.engine.vec import VecWorld
from powerseek.envs.world import World
from powerseek.types import Floats, Ints, Records

SIMULATED = 20_000
"""Simulated draws behind each comparison of frequencies."""
PAIRS = 16
"""(Record, action) pairs whose branches are simulated."""
RISK = 1e-9
"""Greatest probability that a world that conforms fails the comparison of frequencies."""
TOLERANCE = 1e-9
SAMPLED, MOST_EDGES = 256, 100_000
"""Records whose branches are looked at, up to so many branches."""


def check_tape(case: Case) -> str:
    """Enumerated branches sum to 1 and are simulated as often as they say.

    An outcome that is simulated and not enumerated fails. Frequencies are compared by the
    Chernoff bound: of n draws, a share q of an outcome of probability p fails where
    n KL(q || p) > log(2 m / RISK), m the number of outcomes compared; so a world that conforms
    fails with probability below RISK.
    """
    world = case.world
    try:
        first, chance = initial_branches(world, BRANCHES)
    except TooManyBranches:
        first, chance = world.records(0), np.zeros(0)
    if len(chance):
        _sums(chance.sum(), "initial", "")
    records, edges = record_branches(world, case.standing)
    pairs = rows(np.stack([edges.source, edges.action], axis=1))
    _, start, pair = np.unique(pairs, return_index=True, return_inverse=True)
    totals = np.bincount(pair, edges.probability)
    if len(totals):
        worst = int(np.abs(totals - 1).argmax())
        edge = start[worst]
        at = f" of {world.action_names[edges.action[edge]]!r} in "
        _sums(
            totals[worst],
            "transition",
            at + f"({state_text(world, records[edges.source[edge]])})",
        )
    widest: Ints = np.argsort(-np.bincount(pair), kind="stable").astype(np.int64)
    half = np.concatenate([widest[: PAIRS // 2], widest[PAIRS // 2 :: max(1, len(widest) // 8)]])
    chosen = half[:PAIRS].astype(int)
    compared = sum(np.bincount(pair)[chosen]) + len(chance) if len(chosen) else len(chance)
    if not compared:
        raise NotApplicable(f"every state has over {BRANCHES:,} branches")
    if len(chance):
        _match(_starts(world, first, chance), int(compared), "initial")
    for turn, one in enumerate(chosen):
        mine = np.flatnonzero(pair == one)
        edge = mine[0]
        record = records[edges.source[edge]]
        at = f"{world.action_names[edges.action[edge]]!r} in ({state_text(world, record)})"
        _match(_steps(world, edges, mine, record, turn), int(compared), at)
    start_words = "the start and " if len(chance) else ""
    return f"{start_words}{len(chosen)} choices, {SIMULATED:,} draws each, within the bound"


def record_branches(world: World, records: Records) -> tuple[Records, Expansion]:
    """(some of the records, every branch out of them), those with too many left out."""
    few = np.linspace(0, len(records) - 1, min(SAMPLED, len(records))).astype(int)
    kept: list[int] = []
    parts: list[Expansion] = []
    total = 0
    for i, record in enumerate(without_flows(world, records[few])):
        one = np.array([record]).view(np.recarray)
        try:
            out = expand(world, one, BRANCHES)
        except TooManyBranches:
            continue
        parts.append(replace(out, source=out.source + len(kept)))
        kept.append(i)
        total += len(out.source)
        if total > MOST_EDGES:
            break
    if not parts:
        return world.records(0), expand(world, world.records(0))
    columns = (np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Expansion))
    return without_flows(world, records[few[kept]]), Expansion(*columns)


def _sums(total: float, rule: str, at: str) -> None:
    if abs(total - 1) > TOLERANCE:
        raise Failed(
            f"the branches of {rule}{at} have probabilities that sum to {total:.12g}",
            "Ask for the same draws on every path that is possible, and leave c alone: only "
            "flip, pick and weighted touch it.",
        )


def _starts(world: World, first: Records, chance: Floats) -> tuple[Ints, Floats, Ints, Any]:
    drawn = without_flows(world, make_simulator(world, SIMULATED).states)
    return (
        words(first),
        chance,
        words(drawn),
        lambda row: state_text(world, record_from_words(world, row)),
    )


def _steps(
    world: World, edges: Expansion, mine: Ints, record: Any, turn: int
) -> tuple[Ints, Floats, Ints, Any]:
    vec = VecWorld(world, SIMULATED, SEED)
    standing = vec.snapshot()
    standing["records"][:] = words(np.array([record]))
    standing["masks"][:] = True
    standing["episodes"][:] = turn
    vec.restore(standing)
    vec.step(np.full(SIMULATED, edges.action[mine[0]]))
    ended = vec.terminated | vec.truncated
    # An ended copy has been restarted: what is left of its last state are the facts.
    over = edges.facts[mine, world.columns("over").start] > 0
    expected = _outcomes(edges.facts[mine], edges.records[mine], over | (world.max_steps == 1))
    drawn = _outcomes(vec.facts, without_flows(world, vec.states), ended)
    names = world.fact_names

    def told(row: Any) -> str:
        facts = row[: len(names)].view(np.float64)
        some = [f"{n}={v:g}" for n, v in zip(names, facts, strict=True) if v]
        kept = row[len(names) :]
        state = [state_text(world, record_from_words(world, kept))] if kept.any() else []
        return f"({'; '.join([*state, ', '.join(some) or 'all facts 0'])})"

    return expected, edges.probability[mine], drawn, told


def _outcomes(facts: Floats, records: Records, ended: Any) -> Ints:
    kept = words(records)
    kept[ended] = 0
    measured = np.ascontiguousarray(facts + 0.0).view(np.int64)
    return np.concatenate([measured, kept], axis=1)


def _match(compared: tuple[Ints, Floats, Ints, Any], outcomes: int, at: str) -> None:
    expected, probability, drawn, told = compared
    both = np.concatenate([expected, drawn])
    _, which = np.unique(rows(both), return_inverse=True)
    p = np.bincount(which[: len(expected)], probability, which.max() + 1)
    q = np.bincount(which[len(expected) :], minlength=len(p)) / len(drawn)
    bound = np.log(2 * outcomes / RISK)
    surprise = len(drawn) * _divergence(q, np.minimum(p, 1.0))
    worst = int(surprise.argmax())
    if surprise[worst] > bound:
        row = both[np.flatnonzero(which == worst)[0]]
        raise Failed(
            f"{at} leads to {told(row)} with probability {p[worst]:.4g} where enumerated, "
            f"{q[worst]:.4g} of {len(drawn):,} draws where simulated",
            "Take chance from flip(c, p), pick(c, n) and weighted(c, w) alone, never from "
            "random numbers of NumPy or Python, nor from the fields of c.",
        )


def _divergence(q: Floats, p: Floats) -> Floats:
    """KL divergence of a coin with chance q from one with chance p, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heads = np.where(q > 0, q * np.log(q / p), 0.0)
        tails = np.where(q < 1, (1 - q) * np.log((1 - q) / np.maximum(1 - p, 0.0)), 0.0)
    slack = 1e-12  # probabilities are products of rounded factors
    close = np.abs(q - p) <= slack
    return np.where(close, 0.0, np.nan_to_num(heads + tails, nan=np.inf, posinf=np.inf))


def check_masks(case: Case) -> str:
    """Allowed actions do something, except one to wait with; forbidden ones only tick the clock."""
    world = case.world
    records, edges = record_branches(world, case.standing)
    if case.graph is not None:
        graph = case.graph
        after = graph.records[graph.following]
        _idle(graph.world, graph.records, graph.source, graph.action, after, graph.flows)
    _idle(world, records, edges.source, edges.action, edges.records, edges.facts)
    wasted = _wasted(case)
    return f"{len(records):,} records; {wasted:,} forbidden actions only ticked the clock"


def _idle(
    world: World, records: Records, source: Ints, action: Ints, after: Records, facts: Floats
) -> None:
    """Refuse two allowed actions of one record that do nothing at all."""
    flows = [fact.flow for fact in world.facts for _ in fact.columns]
    still = (
        words(without_flows(world, after)) == words(without_flows(world, records))[source]
    ).all(axis=1)
    still &= ~(facts[:, flows] != 0).any(axis=1)
    pairs = rows(np.stack([source, action], axis=1))
    _, first, pair = np.unique(pairs, return_index=True, return_inverse=True)
    idle = np.bincount(pair, ~still) == 0 if len(pair) else np.zeros(0, bool)
    per_record = np.bincount(source[first], idle, len(records))
    crowded = np.flatnonzero(per_record > 1)
    if len(crowded):
        i = int(crowded[0])
        names = [world.action_names[a] for a in action[first][idle & (source[first] == i)]]
        raise Failed(
            f"in ({state_text(world, records[i])}) legal allows "
            f"{' and '.join(map(repr, names))}, and none of them does anything: "
            "no field, no flow, no chance",
            "In legal: forbid actions that do nothing; one may stay, to wait with.",
        )


def _wasted(case: Case) -> int:
    world = case.world
    vec = VecWorld(world, 64, SEED)
    generator, count = np.random.default_rng(SEED), 0
    for t in range(min(64, 2 * world.max_steps)):
        forbidden = ~vec.masks
        some = forbidden.any(axis=1)
        if t % 2 or not some.any():
            vec.step(random_legal_actions(vec.masks, generator.random(64)))
            continue
        before = words(without_flows(world, vec.states))
        legal = random_legal_actions(vec.masks, generator.random(64))
        vec.step(np.where(some, forbidden.argmax(axis=1), legal))
        kept = some & ~vec.truncated
        same = (words(without_flows(world, vec.states)) == before).all(axis=1)
        wrong = np.flatnonzero(kept & ~same)
        if len(wrong):
            raise Failed(
                "a forbidden action in "
                f"({state_text(world, record_from_words(world, before[wrong[0]]))}) does "
                "more than tick the clock",
                "Let legal, observe and measure leave the record as it is.",
            )
        count += int(kept.sum())
    return count
