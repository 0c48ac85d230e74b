"""Empowerment: how much an agent's actions can say, n steps later, about where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from powerseek.errors import InvalidInput
from powerseek.exact.mdp import Ints32, TabularMDP
from powerseek.exact.measures.capacity import OUTCOMES, certified
from powerseek.types import Floats, Ints

SEQUENCES = 10_000
"""Most distinct action sequences of one state, by default (counted as `empowerment` says)."""

UNREDUCED = "states are counted, and actions keep their meaning from step to step"
"""Why states must not be merged by symmetry."""

_GRAIN = 2.0**46
_MANY, _WIDE = 1, 2

Graph = tuple[Ints, Ints32, Ints, Ints32, Floats]
"""First pair of each state, action of each pair, first edge of each pair, next states, chances."""

Scratch = tuple[Floats, Ints, Ints, Ints]
"""Per state: probability, when it was last met, and the states met; a count of distributions."""


@dataclass(frozen=True, eq=False)
class Empowerment:
    """n-step empowerment of every state.

    Attributes:
        bits: [S], in 0 .. n log2(A); nan where no sequence of n actions is legal on every branch
            it can take, and in the states that were not asked for.
        error: Bound on |bits - capacity| over the states, in bits: 0 where the state n steps on
            is sure, else at most 1e-9, save in channels whose probabilities lie so many orders
            of magnitude apart that the bounds come no closer.
        n: Number of steps.
        mdp: Where.
    """

    bits: Floats
    error: float
    n: int
    mdp: TabularMDP

    def of(self, state: object) -> float:
        """Bits of one state: a label, a record of the world, or a state number.

        Raises:
            InvalidInput: There is no such state.
        """
        return float(self.bits[self.mdp.index(state)])


def empowerment(
    mdp: TabularMDP,
    n: int,
    *,
    states: Sequence[object] | None = None,
    sequences: int = SEQUENCES,
) -> Empowerment:
    """Capacity of the channel from n actions, chosen in advance, to the state n steps later.

    ``max over p(a_1 .. a_n) of I(a_1 .. a_n; s_n)``, in bits (Klyubin, Polani and Nehaniv 2005,
    "Empowerment: a universal agent-centric measure of control"). Where the dynamics are sure it is
    log2 of the number of states reachable in *exactly* n steps: a stay action and the parity of n
    matter. An absent action is absent, never a step that does nothing; a terminal state absorbs
    any action. Elsewhere it is found by Blahut-Arimoto (Blahut 1972, Arimoto 1972), with a
    certified bound on the error.

    Action sequences are open-loop: chosen before the first step, and only those count whose
    every action is legal on every branch that chance can take. Where there is none, as when
    chance leads to states with no action in common, empowerment is undefined: nan.

    CAVEAT: counts what can be brought about, not whether it is worth anything: a thousand useless
    cells outweigh one exit. Open-loop: an agent that reacts to chance can control more than this
    says. It depends on the representation (a clock or a dummy field that actions can set adds
    bits) and is not monotone in n, so compare only the same world at the same n.

    Args:
        mdp: Where.
        n: Steps, >= 1.
        states: The only states to measure (labels, records or state numbers); all by default.
        sequences: Most distinct action sequences of one state, counted after every step; those
            that lead to the same distribution of states are one. Sure states have no limit.

    Raises:
        InvalidInput: n or `sequences` below 1, a state that does not exist, a state with too
            many sequences, or states reduced by symmetry.
    """
    mdp.check_unreduced(UNREDUCED)
    if not _whole(n) or n < 1:
        raise InvalidInput("n", n, "a whole number of steps >= 1", "Write empowerment(mdp, 3).")
    if not _whole(sequences) or sequences < 1:
        raise InvalidInput("sequences", sequences, "a whole number >= 1")
    asked = np.arange(mdp.n_states)
    if states is not None:
        asked = np.unique(np.array([mdp.index(state) for state in states], np.int64))
    counts = _counts(mdp.pair_start, sole_next(mdp), asked, int(n))
    bits = np.full(mdp.n_states, np.nan)
    sure = counts > 0
    bits[asked[sure]] = np.log2(counts[sure])
    error = 0.0
    graph = _graph(mdp)
    size = mdp.n_states
    scratch = (np.empty(size), np.zeros(size, np.int64), np.empty(size, np.int64), np.zeros(1, int))
    for state in asked[~sure]:
        bits[state], gap = _of_channel(mdp, graph, int(state), int(n), int(sequences), scratch)
        error = max(error, gap)
    return Empowerment(bits, error, int(n), mdp)


def _whole(number: object) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def sole_next(mdp: TabularMDP) -> Ints:
    """[P] the only state that a pair can lead to, -1 if there are several."""
    if not mdp.n_pairs:
        return np.zeros(0, np.int64)
    possible = mdp.edge_probability > 0
    size = mdp.n_states
    first = np.minimum.reduceat(np.where(possible, mdp.edge_next, size), mdp.edge_start[:-1])
    last = np.maximum.reduceat(np.where(possible, mdp.edge_next, -1), mdp.edge_start[:-1])
    return np.where(first == last, first, -1).astype(np.int64)


def _graph(mdp: TabularMDP) -> Graph:
    """The arrays that sequences run over, probabilities made to sum to 1 to rounding."""
    probability = mdp.edge_probability
    if mdp.n_pairs:
        sums = np.add.reduceat(probability, mdp.edge_start[:-1])
        probability = probability / np.repeat(sums, np.diff(mdp.edge_start))
    return mdp.pair_start, mdp.pair_action, mdp.edge_start, mdp.edge_next, probability


def _of_channel(
    mdp: TabularMDP, graph: Graph, state: int, n: int, sequences: int, scratch: Scratch
) -> tuple[float, float]:
    """(bits, error) of a state where chance plays a part; (nan, 0) if nothing is always legal."""
    start = np.array([0, 1], np.int64)
    outcome, mass = np.array([state], np.int64), np.ones(1)
    blur = 0.0
    for step in range(1, n + 1):
        full, start, outcome, mass, shift = _advance(
            graph, start, outcome, mass, sequences, OUTCOMES, scratch
        )
        if full:
            raise _too_many(mdp, n, step, state, sequences, full)
        blur += shift
        if len(start) == 1:
            return np.nan, 0.0
    seen, local = np.unique(outcome, return_inverse=True)
    bits, error = certified(start, local.astype(np.int64), mass, len(seen))
    return bits, error + _blurred(blur, len(seen))


def _too_many(
    mdp: TabularMDP, n: int, step: int, state: int, sequences: int, full: int
) -> InvalidInput:
    largest = sequences if full == _MANY else OUTCOMES
    what = "distinct action sequences" if full == _MANY else "probabilities in the channel"
    fewer = f"empowerment(mdp, {step - 1})" if step > 1 else "empowerment of a smaller world"
    more = f", or empowerment(mdp, {n}, sequences={10 * sequences})" if full == _MANY else ""
    return InvalidInput(
        "n",
        n,
        f"a number of steps with at most {largest:,} {what} of a state: "
        f"state {mdp.name(state)} has more after {step} of {n} steps",
        f"Write {fewer}{more}.",
    )


def _blurred(shift: float, outcomes: int) -> float:
    """Most that capacity moves if rows move by `shift` in total variation (Fannes, Audenaert)."""
    if shift == 0.0:
        return 0.0
    moved = min(shift, 0.5)
    entropy = -moved * np.log2(moved) - (1 - moved) * np.log2(1 - moved)
    return float(2 * (moved * np.log2(max(outcomes, 2)) + entropy))


@njit(cache=True, nogil=True)
def _counts(pair_start, sole, asked, n):  # type: ignore[no-untyped-def]  # compiled
    """Number of states reachable in exactly n steps from each asked, 0 where chance may play."""
    states = len(pair_start) - 1
    out = np.zeros(len(asked), np.int64)
    met = np.full(states, -1, np.int64)
    now = np.empty(states, np.int64)
    ahead = np.empty(states, np.int64)
    for i in range(len(asked)):
        now[0] = asked[i]
        count = 1
        for step in range(n):
            layer = i * n + step
            found = 0
            for j in range(count):
                s = now[j]
                start, stop = pair_start[s], pair_start[s + 1]
                if start == stop and met[s] != layer:
                    met[s] = layer
                    ahead[found] = s
                    found += 1
                for pair in range(start, stop):
                    following = sole[pair]
                    if following < 0:
                        found = -1
                        break
                    if met[following] != layer:
                        met[following] = layer
                        ahead[found] = following
                        found += 1
                if found < 0:
                    break
            count = max(found, 0)
            if count == 0:
                break
            now, ahead = ahead, now
        out[i] = count
    return out


@njit(cache=True, nogil=True)
def _distribution(graph, before, weights, action, scratch):  # type: ignore[no-untyped-def]  # compiled
    """Distribution after an action, in the scratch: how many states, -1 if it may be illegal."""
    pair_start, pair_action, edge_start, edge_next, edge_probability = graph
    dense, met, touched, clock = scratch
    clock[0] += 1
    count = 0
    for i in range(len(before)):
        s = before[i]
        chosen = -1
        for pair in range(pair_start[s], pair_start[s + 1]):
            if pair_action[pair] == action:
                chosen = pair
                break
        ends = pair_start[s] == pair_start[s + 1]
        if chosen < 0 and not ends:
            return -1
        first = 0 if ends else edge_start[chosen]
        last = 1 if ends else edge_start[chosen + 1]
        for edge in range(first, last):
            following = s if ends else edge_next[edge]
            chance = 1.0 if ends else edge_probability[edge]
            if chance <= 0.0:
                continue
            if met[following] != clock[0]:
                met[following] = clock[0]
                dense[following] = 0.0
                touched[count] = following
                count += 1
            dense[following] += weights[i] * chance
    return count


@njit(cache=True, nogil=True)
def _grown(array, needed):  # type: ignore[no-untyped-def]  # compiled
    if needed <= len(array):
        return array
    out = np.empty(max(needed, 2 * len(array)), array.dtype)
    out[: len(array)] = array
    return out


@njit(cache=True, nogil=True)
def _place(table, start, outcome, mass, fresh, dense):  # type: ignore[no-untyped-def]  # compiled
    """(slot of the table, row that holds the same distribution or -1)."""
    key = np.uint64(1469598103934665603)
    for s in fresh:
        for word in (s, np.int64(np.rint(dense[s] * _GRAIN))):
            key = (key ^ np.uint64(word)) * np.uint64(1099511628211)
            key ^= key >> np.uint64(29)
    slots = np.uint64(len(table) - 1)
    slot = key & slots
    while table[slot] >= 0:
        row = table[slot]
        first = start[row]
        same = start[row + 1] - first == len(fresh)
        i = 0
        while same and i < len(fresh):
            same = outcome[first + i] == fresh[i] and np.rint(mass[first + i] * _GRAIN) == np.rint(
                dense[fresh[i]] * _GRAIN
            )
            i += 1
        if same:
            return slot, row
        slot = (slot + np.uint64(1)) & slots
    return slot, -1


@njit(cache=True, nogil=True)
def _advance(graph, start, outcome, mass, limit, entries, scratch):  # type: ignore[no-untyped-def]  # compiled
    """One action more for every sequence: rows (start, outcome, mass) of distinct distributions.

    Returns before them 0, or which limit was met, and after them the most that merging moved a
    row, in total variation: rows are one where probabilities agree to about 1e-14.
    """
    pair_start, pair_action = graph[0], graph[1]
    dense, _, touched, _ = scratch
    rows = 0
    for row in range(len(start) - 1):
        widest = 1
        for s in outcome[start[row] : start[row + 1]]:
            widest = max(widest, pair_start[s + 1] - pair_start[s])
        rows += widest
    rows = min(rows, limit)
    slots = 4
    while slots < 2 * rows + 2:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    out_start = np.zeros(rows + 1, np.int64)
    out_outcome = np.empty(max(len(outcome), 16), np.int64)
    out_mass = np.empty(len(out_outcome))
    found = 0
    moved = 0.0
    for row in range(len(start) - 1):
        before = outcome[start[row] : start[row + 1]]
        weights = mass[start[row] : start[row + 1]]
        alive = before[0]
        for s in before:
            if pair_start[s] < pair_start[s + 1]:
                alive = s
                break
        first, last = pair_start[alive], pair_start[alive + 1]
        # Where all is over any action will do: one stands for all.
        for pair in range(first, max(last, first + 1)):
            action = pair_action[pair] if last > first else -1
            count = _distribution(graph, before, weights, action, scratch)
            if count < 0:
                continue
            fresh = np.sort(touched[:count])
            slot, same = _place(table, out_start, out_outcome, out_mass, fresh, dense)
            at = out_start[found]
            if same >= 0:
                shift = 0.0
                for i in range(count):
                    shift += abs(out_mass[out_start[same] + i] - dense[fresh[i]])
                moved = max(moved, shift / 2)
                continue
            if found == limit or at + count > entries:
                full = _MANY if found == limit else _WIDE
                return full, out_start, out_outcome, out_mass, moved
            out_outcome = _grown(out_outcome, at + count)
            out_mass = _grown(out_mass, at + count)
            for i in range(count):
                out_outcome[at + i] = fresh[i]
                out_mass[at + i] = dense[fresh[i]]
            table[slot] = found
            found += 1
            out_start[found] = at + count
    total = out_start[found]
    return 0, out_start[: found + 1], out_outcome[:total], out_mass[:total], moved
