"""A tabular Markov decision process with named facts: what every exact solver works on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from powerseek.errors import InvalidInput
from powerseek.exact.state_index import RecordIndex
from powerseek.types import Bools, Floats, Ints, Records

if TYPE_CHECKING:
    from powerseek.envs.world import World

Ints32 = NDArray[np.int32]

PROBABILITY_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """States, (state, action) pairs and edges in compressed rows; absent actions are absent.

    The clock is not part of a state: finite-horizon solvers run backward over ``max_steps``.

    Attributes:
        pair_start: [S+1]; the pairs of state s are ``pair_start[s]:pair_start[s+1]``.
        pair_state: [P], state of each pair.
        pair_action: [P], action index of each pair, as the world numbers actions.
        edge_start: [P+1]; the edges of pair p are ``edge_start[p]:edge_start[p+1]``.
        edge_next: [E], state that the edge leads to.
        edge_probability: [E]; sums to 1 over the edges of a pair.
        initial: [S], probability of starting in each state.
        terminal: [S], True where the episode is over (these states have no pairs).
        state_facts: [S, F], facts of each state, 0 in the columns of flows.
        pair_flows: [P, F], expected flow facts of taking the pair, 0 in state-fact columns.
        fact_names: F flattened names.
        roles: Role -> weights [F]: acquisition is ``pair_flows @ roles["resource"]``.
        max_steps: Time limit T of an episode, or None for a graph typed in without one.
        edge_flow: [E] row of ``flow_table`` that holds the edge's own flows (not expected).
        flow_table: [R, F], the distinct rows of flows.
        absent: Fact names that mean nothing here (their numbers are nan, not 0).
        records: [S] world records, or None for a graph typed in.
        labels: S labels of a graph typed in, else empty.
        world: The world it was enumerated from, or None.
        symmetric: Whether states that a symmetry of the world maps onto each other are one;
            ``records`` then holds their representatives.
    """

    pair_start: Ints
    pair_state: Ints32
    pair_action: Ints32
    edge_start: Ints
    edge_next: Ints32
    edge_probability: Floats
    initial: Floats
    terminal: Bools
    state_facts: Floats
    pair_flows: Floats
    fact_names: tuple[str, ...]
    roles: Mapping[str, Floats]
    max_steps: int | None
    edge_flow: Ints32
    flow_table: Floats
    absent: tuple[str, ...] = ()
    records: Records | None = None
    labels: tuple[Hashable, ...] = ()
    world: World | None = field(default=None, repr=False)
    symmetric: bool = False

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return len(self.terminal)

    @property
    def n_pairs(self) -> int:
        """Number of (state, action) pairs P."""
        return len(self.pair_state)

    @property
    def n_edges(self) -> int:
        """Number of edges E."""
        return len(self.edge_next)

    @property
    def n_actions(self) -> int:
        """One more than the largest action index (or the world's own number)."""
        if self.world is not None:
            return int(self.world.n_actions)
        return int(self.pair_action.max(initial=-1)) + 1

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        arrays = [v for v in vars(self).values() if isinstance(v, np.ndarray)]
        return sum(array.nbytes for array in arrays)

    @property
    def deterministic(self) -> bool:
        """True if every pair has exactly one edge."""
        return self.n_edges == self.n_pairs  # none has fewer

    def index(self, state: object) -> int:
        """Number of a state.

        Args:
            state: A label of a graph typed in, a record of the world (clock and flows do not
                matter), or a state number. On a graph with a whole number among its labels,
                whole numbers are labels and never state numbers.

        Raises:
            InvalidInput: There is no such state.
        """
        found = None
        if self.labels:
            found = self._label_numbers.get(state) if isinstance(state, Hashable) else None
        elif isinstance(state, np.void | np.ndarray):
            found = self._number_of_record(np.asarray(state))
        if found is None and _whole(state) and not any(map(_whole, self.labels)):
            found = int(state) if 0 <= int(state) < self.n_states else None  # type: ignore[call-overload]  # a whole number
        if found is None:
            raise InvalidInput("state", state, self._allowed())
        return found

    @cached_property
    def _label_numbers(self) -> dict[Hashable, int]:
        return {label: number for number, label in enumerate(self.labels)}

    @cached_property
    def record_index(self) -> RecordIndex:
        """Numbers of the records, as they are (merged by a symmetry or not)."""
        world, records = self.origin
        index = RecordIndex(world)
        index.add(records)
        return index

    @property
    def origin(self) -> tuple[World, Records]:
        """The world that it was enumerated from, and the record [S] of every state.

        Raises:
            InvalidInput: A graph typed in: it has neither.
        """
        if self.world is None or self.records is None:
            allowed = "an enumerated world: it has records, observations, goals and scripts"
            raise InvalidInput("mdp", "a graph typed in", allowed)
        return self.world, self.records

    def name(self, state: int) -> str:
        """A state by number, in words."""
        if self.labels:
            return repr(self.labels[state])
        return f"{state}" if self.records is None else f"{state} ({self.records[state]})"

    def check_unreduced(self, reason: str) -> None:
        """Refuse states that a symmetry has merged.

        Raises:
            InvalidInput: They are, with the reason why all states are needed.
        """
        if self.symmetric:
            raise InvalidInput(
                "mdp",
                "states reduced by symmetry",
                f"all states: {reason}",
                "Write enumerate_world(world).",
            )

    def find(self, records: Records) -> Ints:
        """Numbers [n] of records of the world, -1 for one that is no state (see `index`).

        Raises:
            InvalidInput: A graph typed in: it has no records.
        """
        world, _ = self.origin
        if self.symmetric:
            records = np.asarray(type(world).canonical(world.params, records))
        return self.record_index.find(records)

    def _number_of_record(self, record: Records) -> int | None:
        if self.world is None or self.records is None:
            return None
        if record.dtype != self.world.dtype or record.ndim:
            return None
        number = int(self.find(record[None])[0])
        return number if number >= 0 else None

    def _allowed(self) -> str:
        """The states that there are, in words."""
        numbers = f"a state number, 0 to {self.n_states - 1:,}"
        if self.labels:
            only = any(map(_whole, self.labels))
            return f"one of {_some(self.labels)}" + ("" if only else f"; or {numbers}")
        if self.world is None or self.records is None:
            return numbers
        return f"one record of {self.world.id} that can be reached (mdp.records); or {numbers}"

    def horizon(self, horizon: int | None = None) -> int:
        """The given horizon, or the world's own time limit.

        Raises:
            InvalidInput: Neither is there, or it is negative.
        """
        steps = self.max_steps if horizon is None else horizon
        if steps is None or steps < 0:
            raise InvalidInput(
                "horizon", steps, "a number of steps >= 0", "write need(mdp, horizon=20)"
            )
        return int(steps)

    def final(self, name: str) -> Floats | None:
        """[S] value of the facts that hold a role (or of one state fact) at the end, or None."""
        weights = self.roles.get(name)
        if weights is not None:
            return self.state_facts @ weights
        if name in self.fact_names:
            return self.state_facts[:, self.fact_names.index(name)]
        return None

    def flow(self, role: str) -> Floats | None:
        """[P] expected weighted flow of the facts that hold a role, or None."""
        weights = self.roles.get(role)
        return None if weights is None else self.pair_flows @ weights

    @classmethod
    def from_successors(
        cls, successors: Mapping[Hashable, Sequence[Hashable]] | Ints, **facts: object
    ) -> TabularMDP:
        """A deterministic MDP from lists of next states; action i is the i-th successor.

        Args:
            successors: State -> its successors, e.g. ``{0: [0, 1], 1: [1]}``; or, for large
                graphs, integers [S, A] with the same number of actions in every state.
            **facts: As in `from_transitions`; only with a mapping.

        Raises:
            InvalidInput: A state without actions, or a successor that is not a state.
        """
        if isinstance(successors, np.ndarray):
            return _from_array(successors)
        rows = {s: [{n: 1.0} for n in following] for s, following in successors.items()}
        return cls.from_transitions(rows, **facts)  # type: ignore[arg-type]  # same keywords

    @classmethod
    def from_transitions(
        cls,
        transitions: Mapping[Hashable, Sequence[Mapping[Hashable, float]]],
        *,
        facts: Mapping[str, Mapping[Hashable, float]] | None = None,
        flows: Mapping[str, Mapping[tuple[Hashable, int], float]] | None = None,
        roles: Mapping[str, Mapping[str, float]] | None = None,
        terminal: Sequence[Hashable] = (),
        initial: Hashable | Mapping[Hashable, float] | None = None,
        max_steps: int | None = None,
    ) -> TabularMDP:
        """An MDP typed in by hand.

        Args:
            transitions: State -> one dict ``{next state: probability}`` for each action.
            facts: State fact -> its value where it is not 0: ``{"success": {"goal": 1}}``.
            flows: Flow -> its value where not 0, by (state, action index):
                ``{"acquired": {("shop", 0): 1.0}}``.
            roles: Role -> weight of each fact. By default every flow is a resource of weight 1.
            terminal: States in which the episode is over; they need no actions.
            initial: The first state, or state -> probability; by default the first one listed.
            max_steps: Time limit T of an episode, for the finite-horizon solvers.

        Raises:
            InvalidInput: A state without actions, a successor that is not a state, or
                probabilities that are negative or do not sum to 1 (all named).
        """
        labels = tuple(dict.fromkeys([*transitions, *terminal]))
        index = {label: i for i, label in enumerate(labels)}
        over = set(terminal)
        counts = []
        pair_state: list[int] = []
        pair_action: list[int] = []
        edges: list[tuple[int, float]] = []
        edge_start = [0]
        for label in labels:
            rows = [] if label in over else transitions[label]
            _check_actions(label, rows, label in over, index)
            counts.append(len(rows))
            for action, row in enumerate(rows):
                pair_state.append(index[label])
                pair_action.append(action)
                edges += [(index[n], float(p)) for n, p in row.items() if p > 0]
                edge_start.append(len(edges))
        pairs = {
            (labels[s], a): i for i, (s, a) in enumerate(zip(pair_state, pair_action, strict=True))
        }
        facts, flows = facts or {}, flows or {}
        names = (*facts, *flows)
        state_facts = np.zeros((len(labels), len(names)))
        pair_flows = np.zeros((len(pair_state), len(names)))
        _fill(state_facts, names, facts, index, "facts")
        _fill(pair_flows, names, flows, pairs, "flows")
        return cls(
            pair_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            pair_state=np.array(pair_state, np.int32),
            pair_action=np.array(pair_action, np.int32),
            edge_start=np.array(edge_start, np.int64),
            edge_next=np.array([n for n, _ in edges], np.int32),
            edge_probability=np.array([p for _, p in edges], np.float64),
            initial=_initial(initial, labels, index),
            terminal=np.array([label in over for label in labels]),
            state_facts=state_facts,
            pair_flows=pair_flows,
            fact_names=names,
            roles=_roles(roles, names, flows),
            max_steps=max_steps,
            edge_flow=np.repeat(np.arange(len(pair_state)), np.diff(edge_start)).astype(np.int32),
            flow_table=pair_flows,
            labels=labels,
        )


def _from_array(successors: Ints) -> TabularMDP:
    """A deterministic MDP from next states [S, A]."""
    if successors.ndim != 2 or not successors.size or successors.dtype.kind not in "iu":
        found = f"{successors.dtype} {successors.shape}"
        raise InvalidInput("successors", found, "integers of shape [S, A], S and A >= 1")
    states, actions = successors.shape
    wrong = (successors < 0) | (successors >= states)
    if wrong.any():
        state, action = np.argwhere(wrong)[0]
        raise InvalidInput(
            f"successors[{state}, {action}]", successors[state, action], f"0 to {states - 1:,}"
        )
    pairs = states * actions
    return TabularMDP(
        pair_start=np.arange(0, pairs + 1, actions),
        pair_state=np.repeat(np.arange(states, dtype=np.int32), actions),
        pair_action=np.tile(np.arange(actions, dtype=np.int32), states),
        edge_start=np.arange(pairs + 1),
        edge_next=successors.astype(np.int32).ravel(),
        edge_probability=np.ones(pairs),
        initial=np.eye(1, states)[0],
        terminal=np.zeros(states, np.bool_),
        state_facts=np.zeros((states, 0)),
        pair_flows=np.zeros((pairs, 0)),
        fact_names=(),
        roles={},
        max_steps=None,
        edge_flow=np.zeros(pairs, np.int32),
        flow_table=np.zeros((1, 0)),
    )


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _some(labels: Sequence[Hashable], count: int = 8) -> str:
    shown = ", ".join(repr(label) for label in labels[:count])
    return shown if len(labels) <= count else f"{shown}, ... ({len(labels):,} states)"


def _check_actions(
    label: Hashable,
    rows: Sequence[Mapping[Hashable, float]],
    over: bool,
    index: Mapping[Hashable, int],
) -> None:
    if not rows and not over:
        raise InvalidInput(
            f"transitions[{label!r}]",
            list(rows),
            "at least one action",
            f"an absorbing state is {{{label!r}: [{label!r}]}}; an end is terminal=[{label!r}]",
        )
    for action, row in enumerate(rows):
        where = f"transitions[{label!r}][{action}]"
        unknown = [n for n in row if n not in index]
        if unknown:
            raise InvalidInput(where, unknown[0], f"a known state: {_some(tuple(index))}")
        values = np.array(list(row.values()), np.float64)
        total = float(values.sum())
        if not np.isfinite(total) or (values < 0).any() or abs(total - 1) > PROBABILITY_TOLERANCE:
            raise InvalidInput(where, dict(row), f"probabilities >= 0 that sum to 1 (sum {total})")


def _fill(
    out: Floats,
    names: tuple[str, ...],
    values: Mapping[str, Mapping[Hashable, float]]
    | Mapping[str, Mapping[tuple[Hashable, int], float]],
    rows: Mapping[Hashable, int] | Mapping[tuple[Hashable, int], int],
    field_name: str,
) -> None:
    for name, entries in values.items():
        for key, value in entries.items():
            if key not in rows:
                raise InvalidInput(f"{field_name}[{name!r}]", key, f"one of {_some(tuple(rows))}")
            if not np.isfinite(value):
                raise InvalidInput(f"{field_name}[{name!r}][{key!r}]", value, "a finite number")
            out[rows[key], names.index(name)] = value  # type: ignore[index]  # keys fit their rows


def _initial(
    initial: Hashable | Mapping[Hashable, float] | None,
    labels: tuple[Hashable, ...],
    index: Mapping[Hashable, int],
) -> Floats:
    if not labels:
        raise InvalidInput("transitions", {}, "at least one state")
    start = labels[0] if initial is None else initial
    weights = start if isinstance(start, Mapping) else {start: 1.0}
    out = np.zeros(len(labels))
    for label, probability in weights.items():
        if label not in index:
            raise InvalidInput("initial", label, f"one of {_some(labels)}")
        out[index[label]] = probability
    if (out < 0).any() or abs(out.sum() - 1) > PROBABILITY_TOLERANCE:
        raise InvalidInput("initial", dict(weights), "probabilities >= 0 that sum to 1")
    return out


def _roles(
    roles: Mapping[str, Mapping[str, float]] | None,
    names: tuple[str, ...],
    flows: Mapping[str, Mapping[tuple[Hashable, int], float]],
) -> dict[str, Floats]:
    given = {"resource": dict.fromkeys(flows, 1.0)} if roles is None else roles
    out = {}
    for role, weights in given.items():
        out[role] = np.zeros(len(names))
        for name, weight in weights.items():
            if name not in names:
                raise InvalidInput(f"roles[{role!r}]", name, f"one of {', '.join(names)}")
            out[role][names.index(name)] = weight
    return out
