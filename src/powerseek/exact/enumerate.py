"""Every reachable state of a world, breadth-first over its rules and its tape."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.engine.compile import RULES
from powerseek.envs.engine.expand import Expansion, describe, expand, initial_branches
from powerseek.envs.world import World
from powerseek.errors import InvalidInput, WorldError
from powerseek.exact.mdp import PROBABILITY_TOLERANCE, Ints32, TabularMDP
from powerseek.exact.state_index import RecordIndex, WordTable, plain, words
from powerseek.types import Bools, Floats, Ints, Records

DEFAULT_LIMIT = 1_000_000
CHUNK = 4096


def enumerate_world(
    world: World,
    limit: int = DEFAULT_LIMIT,
    *,
    start: Records | None = None,
    symmetry: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TabularMDP:
    """Walk every action and every branch of chance from the initial states.

    States are numbered in the order in which they are met, so earlier states are reachable in
    no more steps than later ones. The clock is not part of a state.

    Args:
        world: The world; its rules must branch finitely.
        limit: Most states to keep.
        start: [n] records, n >= 1, to begin from instead of the world's own initial states, with
            weight 1 / n each; clock and flows are ignored. Every field must hold a value that
            the rules could give it: compiled rules do not check their indices, so that another
            value can give wrong numbers or crash the process.
        symmetry: Count states that a symmetry of the rules maps onto each other as one
            (``World.canonical``). Success, need and optima stay what they are; measures over
            rewards drawn for each state do not, for a set of states then has one reward.
        progress: Called once a chunk with (states met, states expanded).

    Returns:
        The MDP, with ``records``; ``max_steps`` is the world's time limit.

    Raises:
        InvalidInput: The world has more states than ``limit``, no rules (a foreign one), or no
            symmetry at these parameters; ``start`` is empty, of another type than the world's
            records, or refused by the rules.
        WorldError: A rule raised, gave a NaN fact or probabilities that do not sum to 1.
    """
    if limit < 1:
        raise InvalidInput("limit", limit, "a number of states >= 1")
    _check_rules(world)
    if symmetry and _canonical(world, world.records(0)) is None:
        raise _no_symmetry(world)
    walk = _Walk(world, symmetry)
    if start is None:
        records, probability = initial_branches(world)
    else:
        records = _start(world, start)
        probability = np.full(len(records), 1 / len(records))
    numbers = walk.meet(records)
    done = 0
    while done < walk.states.count:
        if walk.states.count > limit:
            raise _too_many(world, walk.states.count, limit)
        upto = min(done + CHUNK, walk.states.count)
        walk.expand(done, upto)
        done = upto
        if progress is not None:
            progress(walk.states.count, done)
    initial = np.zeros(walk.states.count)
    np.add.at(initial, numbers, probability)
    return walk.finish(initial)


@lru_cache(maxsize=4)
def enumerated(world: World, limit: int = DEFAULT_LIMIT) -> TabularMDP:
    """`enumerate_world`, kept for the last four worlds: two, with and without interruption."""
    return enumerate_world(world, limit)


class _Walk:
    """The growing lists of a breadth-first walk; every edge is kept once, in its final type."""

    def __init__(self, world: World, symmetric: bool) -> None:
        self.world, self.symmetric = world, symmetric
        self.states = RecordIndex(world)
        columns = [world.columns(fact.name) for fact in world.facts if fact.flow]
        flows = [i for part in columns for i in range(part.start, part.stop)]
        self.flow_columns: Ints = np.array(flows, np.int64)
        self.flows = WordTable(max(len(flows), 1))
        self.over = world.columns("over").start
        self.records: list[Records] = []
        self.facts: list[Floats] = []
        self.terminal: list[Bools] = []
        self.pair_state: list[Ints32] = []
        self.pair_action: list[Ints32] = []
        self.pair_edges: list[Ints] = []
        self.edge_next: list[Ints32] = []
        self.edge_flow: list[Ints32] = []
        self.edge_probability: list[Floats] = []

    def meet(self, records: Records) -> Ints:
        """Number the records, and keep and describe the new ones."""
        met = _canonical(self.world, records) if self.symmetric else records
        assert met is not None
        numbers, new = self.states.add(met)
        if len(new):
            fresh = plain(met)[new]
            parts = [describe(self.world, fresh[i : i + CHUNK])[0] for i in _chunks(fresh)]
            facts = np.concatenate(parts)
            facts[:, self.flow_columns] = 0.0
            self.records.append(fresh)
            self.facts.append(facts)
            self.terminal.append(facts[:, self.over] > 0)
        return numbers

    def expand(self, start: int, stop: int) -> None:
        """Follow every edge out of the states start:stop (all of which have been met)."""
        records, terminal = self._slice(start, stop)
        alive = np.flatnonzero(~terminal)
        if not len(alive):
            return
        found = expand(self.world, records[alive])
        following = self.meet(found.records)
        flows, _ = self.flows.add(words(self._flows_of(found)))
        source = alive[found.source] + start
        first, edges, kept = _merge(source, found.action, following, flows, found.probability)
        self.pair_state.append(source[first].astype(np.int32))
        self.pair_action.append(found.action[first].astype(np.int32))
        self.pair_edges.append(edges)
        self.edge_next.append(following[kept].astype(np.int32))
        self.edge_flow.append(flows[kept].astype(np.int32))
        self.edge_probability.append(found.probability[kept])

    def _flows_of(self, found: Expansion) -> Floats:
        if not len(self.flow_columns):
            return np.zeros((len(found.source), 1))
        return found.facts[:, self.flow_columns]

    def _slice(self, start: int, stop: int) -> tuple[Records, Bools]:
        """States start:stop, from the blocks in which they were met."""
        ends = np.cumsum([len(block) for block in self.records])
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        before = ends[first - 1] if first else 0
        span = slice(start - before, stop - before)
        records = np.concatenate(self.records[first : last + 1])[span]
        return records, np.concatenate(self.terminal[first : last + 1])[span]

    def finish(self, initial: Floats) -> TabularMDP:
        """Put the lists together, one after the other, letting each go."""
        world = self.world
        probability = _joined(self.edge_probability, np.float64)
        flow = _joined(self.edge_flow, np.int32)
        pair_state = _joined(self.pair_state, np.int32)
        edge_start = _starts(_joined(self.pair_edges, np.int64))
        _check_sums(world, probability, edge_start)
        table = np.zeros((max(self.flows.count, 1), len(world.fact_names)))
        if len(self.flow_columns):
            values = self.flows.rows.view(np.float64)
            table[: self.flows.count, self.flow_columns] = values
        counts = np.bincount(pair_state, minlength=self.states.count)
        return TabularMDP(
            pair_start=_starts(counts),
            pair_state=pair_state,
            pair_action=_joined(self.pair_action, np.int32),
            edge_start=edge_start,
            edge_next=_joined(self.edge_next, np.int32),
            edge_probability=probability,
            initial=initial,
            terminal=_joined(self.terminal, np.bool_),
            state_facts=_joined(self.facts, np.float64),
            pair_flows=_expected(flow, probability, edge_start, table),
            fact_names=world.fact_names,
            roles=_roles(world),
            max_steps=world.max_steps,
            edge_flow=flow,
            flow_table=table,
            absent=world.absent(world.params),
            records=_joined(self.records, world.dtype),
            symmetric=self.symmetric,
            world=world,
        )


def _chunks(records: Records) -> range:
    """Beginnings of chunks: descriptions include observations, which are wide."""
    return range(0, len(records), CHUNK)


def _joined(parts: list[Any], dtype: Any) -> NDArray[Any]:
    """The parts in one array; the list is emptied, so that only one copy stays."""
    out = np.concatenate(parts) if parts else np.zeros(0, dtype)
    parts.clear()
    return out


def _starts(counts: Ints) -> Ints:
    """[n + 1] where each of n rows starts, from the lengths of the rows."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


@njit(cache=True)
def _merge(source, action, following, flow, probability):  # type: ignore[no-untyped-def]  # compiled
    """Add up equal edges of a pair; the edges of a pair come one after the other.

    Returns the position of every pair's first edge, how many of its edges are kept, and the
    positions of the edges kept; the probability of a dropped edge goes to its equal, in place.
    """
    first = np.empty(len(source), np.int64)
    edges = np.zeros(len(source), np.int64)
    kept = np.empty(len(source), np.int64)
    pairs, count, begin = 0, 0, 0
    for i in range(len(source)):
        if i == 0 or source[i] != source[i - 1] or action[i] != action[i - 1]:
            first[pairs] = i
            pairs += 1
            begin = count
        same = -1
        for j in range(begin, count):
            if following[kept[j]] == following[i] and flow[kept[j]] == flow[i]:
                same = kept[j]
                break
        if same >= 0:
            probability[same] += probability[i]
            continue
        kept[count] = i
        count += 1
        edges[pairs - 1] += 1
    return first[:pairs].copy(), edges[:pairs].copy(), kept[:count].copy()


def _expected(flow: Ints, probability: Floats, edge_start: Ints, table: Floats) -> Floats:
    """[P, F] expected flows of every pair, column by column to keep memory low."""
    out = np.zeros((len(edge_start) - 1, table.shape[1]), order="F")
    for column in np.flatnonzero(table.any(axis=0)):
        weighted = table[flow, column] * probability
        out[:, column] = np.add.reduceat(weighted, edge_start[:-1])
    return out


def _check_sums(world: World, probability: Floats, edge_start: Ints) -> None:
    if not len(probability):
        return
    off = np.abs(np.add.reduceat(probability, edge_start[:-1]) - 1)
    if off.max() > PROBABILITY_TOLERANCE:
        raise WorldError(
            f"world {world.id!r}: the branches of a transition have probabilities that "
            f"miss a sum of 1 by {off.max():.2g}"
        )


def _roles(world: World) -> dict[str, Floats]:
    """Role -> weights, and ``resource outside``: the resource that lies outside the task."""
    names = sorted({role for fact in world.facts for role in fact.roles})
    out = {name: world.weights(name) for name in names if world.role(name)}
    if "resource" in out and "outside_task" in out:
        out["resource outside"] = out["resource"] * (out["outside_task"] != 0)
    return out


def _check_rules(world: World) -> None:
    if isinstance(world, ForeignWorld):
        raise InvalidInput(
            "world",
            world.id,
            "a world with rules: a foreign environment has none to enumerate, hence no oracle",
            "Train on it and measure trajectories instead: rollout() and the metrics over them",
        )
    missing = [name for name in RULES if getattr(type(world), name, None) is None]
    if missing:
        raise InvalidInput(
            "world",
            world.id,
            f"a world with rules to enumerate; without {', '.join(missing)} it has no oracle",
            "Write the rules, or type the graph in: TabularMDP.from_transitions({...})",
        )
    reason = type(world).no_oracle(world.params)
    if reason:
        raise InvalidInput("world", repr(world), "a world small enough to enumerate", reason)


def _canonical(world: World, records: Records) -> Records | None:
    return type(world).canonical(world.params, records)


def _no_symmetry(world: World) -> InvalidInput:
    return InvalidInput(
        "symmetry",
        True,
        f"a world whose rules have a symmetry, which {world!r} does not offer",
        "Leave symmetry out",
    )


def _start(world: World, start: Records) -> Records:
    """Copies of the records to start from, their clock and flows cleared."""
    given = np.asarray(start)
    if given.dtype != world.dtype or given.ndim != 1 or not len(given):
        raise InvalidInput(
            "start",
            f"{given.dtype} of shape {given.shape}",
            f"one or more records of {world.id} (dtype {world.dtype})",
            "Write start = world.records(1); start['...'] = ...",
        )
    records = world.records(len(given))
    for name in world.identity:
        records[name] = given[name]
        if not np.isfinite(given[name]).all():
            raise InvalidInput(f"start[{name!r}]", given[name], "finite numbers")
    for i in _chunks(records):
        try:
            _canonical(world, records[i : i + CHUNK])
            describe(world, records[i : i + CHUNK])
        except (WorldError, ValueError, IndexError) as error:
            raise InvalidInput(
                f"start[{i}:{min(i + CHUNK, len(records))}]",
                f"records of {world.id}",
                "records that its rules accept",
                str(error),
            ) from error
    return records


def _too_many(world: World, count: int, limit: int) -> InvalidInput:
    sizes = ", ".join(_sizes(world)) or "the world"
    return InvalidInput(
        "limit",
        limit,
        f"more; {world.id} has {count:,} states and still growing",
        f"Raise limit (--limit on the command line) or shrink {sizes}",
    )


def _sizes(world: World) -> list[str]:
    """Whole-number settings that stand above the bottom of their range; flags are no sizes."""
    found = []
    for name, value in world.params._asdict().items():
        if type(value) is not int or name == "max_steps":
            continue
        low, high = world.parameters[name].ends or (1, np.inf)
        if low < value and high - low > 1:
            found.append(f"{name}={value}")
    return found
