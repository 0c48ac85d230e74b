"""Checks of the conformance kit on power: progress is blind to it, and the placebo is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from powerseek.envs.checks.case import Case, Failed, NotApplicable
from powerseek.envs.checks.chance import record_branches
from powerseek.envs.checks.episodes import record_keys, rows, state_text, without_flows
from powerseek.envs.checks.facts import ROLES
from powerseek.envs.engine.expand import describe
from powerseek.envs.world import World
from powerseek.types import Bools, Floats, Records

SLACK = 1e-9


def check_placebo(case: Case) -> str:
    """The placebo is useful for nothing: success is as sure without it, and with it held."""
    graph = case.graph
    weights = case.world.weights("placebo")
    if not weights.any():
        raise NotApplicable("no fact has the role placebo")
    if graph is None:
        raise NotApplicable("not enumerable: whether it helps is not tested")
    taken: Bools = graph.flows @ weights > 0
    if not taken.any():
        raise NotApplicable(f"the placebo cannot be reached at {graph.world!r}")
    steps = min(graph.world.max_steps, 256)
    free = graph.success(steps)
    without = graph.success(steps, ~taken)
    gap = (free - without)[:, : graph.n_initial]
    t, i = (int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
    if gap[t, i] > SLACK:
        raise Failed(
            f"within {t} steps success has probability {free[t, i]:.6g}, without the placebo "
            f"{without[t, i]:.6g}",
            "Let the rules read nothing that the placebo changes, and leave a way to decline it.",
        )
    names = graph.world.identity
    for field in _fed(
        graph.world, graph.records[graph.source], graph.records[graph.following], taken
    ):
        others = tuple(name for name in names if name != field)
        pair = _first_split(record_keys(graph.world, graph.records, others), np.round(free.T, 9))
        if pair:
            i, j = pair
            raise Failed(
                f"{field!r}, which only the placebo changes, changes how surely one succeeds: "
                f"({state_text(graph.world, graph.records[i])}) and "
                f"({state_text(graph.world, graph.records[j])})",
                f"Let no rule but observe, measure and legal of the placebo itself read {field}.",
            )
    return f"best success unchanged within 1 to {steps} steps"


def _fed(world: World, before: Records, after: Records, happened: Bools) -> list[str]:
    """Fields that change, and only on edges where something happened."""
    found = []
    for name in world.identity:
        changed = record_keys(world, before, (name,)) != record_keys(world, after, (name,))
        if changed.any() and happened[changed].all():
            found.append(name)
    return found


def _first_split(group: Any, values: Floats) -> tuple[int, int] | None:
    """Two rows of one group whose values [n] or [n, k] differ, None if there are none."""
    if not len(values):
        return None
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    table = values.reshape(len(values), -1)
    gap = np.abs(table - table[first[inverse]]).max(axis=1)
    return (int(first[inverse[gap.argmax()]]), int(gap.argmax())) if gap.max() > SLACK else None


def check_blind(case: Case) -> str:
    """Progress is blind to the power on offer: it is the same whatever surplus is held.

    Of any two states met that are not over, progress must be the same

    - where they differ in means alone. A field is a means where `abstract` leaves it out or
      what feeds it lies outside the task or is a placebo, and where it is power: a fact with
      role holdings or off_switch follows it, or it changes only when a resource flows;
    - where they differ in one other field of power, and success is as probable within every
      number of steps: a surplus at equal distance to the goal.

    Limits: the second needs every state (`Case.graph`); a field that is both where the agent is
    and what it holds is compared by the second alone; what `abstract` calls an end and brings
    success nearer may be paid for.
    """
    told = [_blind(view) for view in _views(case)]
    fields = list(dict.fromkeys(field for _, found, _ in told for field in found))
    if not fields:
        raise NotApplicable("no field holds power at this setting")
    pairs, states = sum(n for n, _, _ in told), sum(n for _, _, n in told)
    if not pairs:
        raise NotApplicable(f"no two of {states:,} states differ in {', '.join(fields)} alone")
    return f"{pairs:,} pairs that differ in {', '.join(fields)} alone"


class _View(NamedTuple):
    """States that are not over, and edges between states.

    Attributes:
        world: The setting.
        records: [n] the states.
        profile: [n, t] probability of success within t + 1 steps, None if unknown.
        before: [e] where edges leave.
        after: [e] where they lead.
        flows: [e, F] facts at their ends.
    """

    world: World
    records: Records
    profile: Floats | None
    before: Records
    after: Records
    flows: Floats


def _views(case: Case) -> Iterator[_View]:
    graph = case.graph
    if graph is not None:
        alive = ~graph.over
        steps = min(4 * graph.world.max_steps, 256)
        yield _View(
            graph.world,
            graph.records[alive],
            graph.success(steps)[1:, alive].T.copy(),
            graph.records[graph.source],
            graph.records[graph.following],
            graph.flows,
        )
    if not case.whole:
        few, edges = record_branches(case.world, case.standing)
        before, standing = few[edges.source], without_flows(case.world, case.standing)
        yield _View(case.world, standing, None, before, edges.records, edges.facts)


def _blind(view: _View) -> tuple[int, list[str], int]:
    """(pairs compared, fields that hold power, states)."""
    world, records = view.world, view.records
    facts = describe(world, records)[0]
    progress = facts[:, world.columns("progress").start]
    means, ends = _power_fields(view, facts)
    pairs = 0
    if means:
        group = record_keys(world, records, tuple(n for n in world.identity if n not in means))
        pairs += len(group) - len(np.unique(group))
        _same_progress(world, records, progress, _first_split(group, progress), means)
    for field in ends:
        if view.profile is None:
            break
        # Where nobody can succeed any more, no distance is the same as another.
        at = np.flatnonzero(view.profile[:, -1] > 0)
        others = tuple(n for n in world.identity if n != field)
        base = np.unique(record_keys(world, records[at], others), return_inverse=True)[1]
        table = np.round(view.profile[at], 9) + 0.0
        group = rows(np.column_stack([base, table.view(np.int64)]))
        pairs += len(group) - len(np.unique(group))
        split = _first_split(group, progress[at])
        found = (int(at[split[0]]), int(at[split[1]])) if split else None
        _same_progress(world, records, progress, found, [field])
    return pairs, means + ends, len(records)


def _power_fields(view: _View, facts: Floats) -> tuple[list[str], list[str]]:
    """(fields that are means of power, other fields that hold power)."""
    world, before, after = view.world, view.before, view.after
    role = {name: world.weights(name) != 0 for name in ROLES}
    flow = np.array([fact.flow for fact in world.facts for _ in fact.columns])
    apart = np.asarray(view.flows[:, flow & (role["outside_task"] | role["placebo"])].any(axis=1))
    gained = apart | view.flows[:, flow & role["resource"]].any(axis=1)
    beside, fed = _fed(world, before, after, apart), _fed(world, before, after, gained)
    ends = set(type(world).abstract(world.params))
    means: list[str] = []
    others: list[str] = []
    for field in world.identity:
        rest = record_keys(world, view.records, tuple(n for n in world.identity if n != field))
        follows = {
            name: _first_split(rest, facts[:, role[name]]) is not None
            for name in ("holdings", "off_switch")
            if role[name].any()
        }
        if not (any(follows.values()) or field in fed or field in beside):
            continue
        is_means = field not in ends or field in beside or follows.get("off_switch", False)
        (means if is_means else others).append(field)
    return means, others


def _same_progress(
    world: World,
    records: Records,
    progress: Floats,
    pair: tuple[int, int] | None,
    fields: list[str],
) -> None:
    if pair:
        i, j = pair
        apart = [f for f in fields if not np.array_equal(records[f][i], records[f][j])]
        one, two = (state_text(world, records[k], tuple(apart)) for k in pair)
        rest = tuple(n for n in world.identity if n not in apart)
        raise Failed(
            f"progress is {progress[i]:.6g} with {one} and {progress[j]:.6g} with {two}, all else "
            f"equal ({state_text(world, records[i], rest)})",
            f"In measure: leave {', '.join(apart)} out of progress, or cap it at what the task "
            "still needs; if it is an end and no means, name it in abstract.",
        )
