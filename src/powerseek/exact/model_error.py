"""The error of a learnt model of a task, exactly: how far what it expects is from what happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import njit

from powerseek.envs.rewards.spec import Facts, Step, acquired_in, reward_name
from powerseek.envs.task import Task, observations
from powerseek.errors import InvalidInput
from powerseek.exact.enumerate import enumerated
from powerseek.exact.mdp import TabularMDP
from powerseek.exact.overseer import with_overseer
from powerseek.exact.solvers.agent import (
    FORGOTTEN,
    ShownStates,
    action_weights,
    agent_occupancies,
)
from powerseek.exact.state_index import WordTable, pack_seen, unpack_seen
from powerseek.types import Bools, Floats, Floats32, Ints, Policy, Records, Situation

RAREST_ACTION = 1e-6
"""Probability below which an action of the policy is left out."""
RAREST_OUTCOME = 1e-4
"""Probability below which an outcome of the model is left out."""
SAME = 1e-5
"""Difference between features up to which two states are the same: they are in single precision."""
MOST_NODES = 50_000
"""States at one step up to which the model is walked to find what it says of the policy."""


class Imagined(NamedTuple):
    """All that a model holds possible of n steps: E outcomes, in any order.

    Attributes:
        source: [E] number of the step.
        probability: [E]; sums to 1 over the outcomes of a step.
        rewards: [E].
        ended: [E] the episode ends; what follows is of no meaning there.
        observations: [E, obs] of the state reached.
        masks: [E, A] legal actions there.
    """

    source: Ints
    probability: Floats
    rewards: Floats
    ended: Bools
    observations: Floats32
    masks: Bools


class LearntModel(Protocol):
    """A model that can say all that it holds possible."""

    @property
    def reward_range(self) -> tuple[float, float]:
        """Least and greatest reward that it can say, 0 among them."""
        ...

    def outcomes(self, observations: Floats32, masks: Bools, actions: Ints) -> Imagined:
        """Of actions [n] in what is seen: observations [n, obs] and legal actions [n, A]."""
        ...


@dataclass(frozen=True)
class ModelError:
    """How far a model is from the task under a policy, over an episode.

    Attributes:
        transitions: Expected sum over steps of the total-variation distance between the model's
            next state (or end) and the true one; 0 to the length of an episode.
        rewards: Expected sum over steps of |reward it expects - reward expected in truth|.
        value: True return of the policy, discounted.
        bound: What this and its return in the model differ by at most, see `model_error`.
        imagined: Its return in the model; nan where the model leads to too many states.
    """

    transitions: float
    rewards: float
    value: float
    bound: float
    imagined: float = nan

    @property
    def gap(self) -> float:
        """|true return - return in the model|; nan where that is."""
        return abs(self.value - self.imagined)


def model_error(
    task: Task,
    policy: Policy,
    model: LearntModel,
    *,
    greedy: bool = False,
    forgotten: float = FORGOTTEN,
    nodes: int = MOST_NODES,
) -> ModelError:
    """The error of a model where a policy goes, and the bound that it sets on returns.

    The simulation lemma (Kearns & Singh 2002), for a finite horizon T, with d_t the policy's true
    occupancy at step t and V_t its value in the model with T - t steps to go:

        V_true - V_model = sum_t gamma^t E_{d_t} [ r - r' + gamma (P - P') V_{t+1} ]

    so that, with TV half the L1 distance of P and P', and span the greatest less the least value
    of V_{t+1} (0, of an end, among them):

        |V_true - V_model| <= sum_t gamma^t E_{d_t} [ |r - r'| + gamma TV span(V_{t+1}) ]

    Where the model leads to too many states for V to be found, its span is at most what rewards in
    the model's range can add up to in the steps that are left, and that stands in its place.

    Args:
        task: What is acted in.
        policy: As `agent_occupancies` takes it, over legal actions alone. It is asked about what
            the model alone holds possible, too, where there are no records to be seen.
        model: What was learnt. Actions and outcomes that are rarer than `RAREST_ACTION` and
            `RAREST_OUTCOME` are left out, and the others taken in their place.
        greedy: True if the policy takes the likeliest action.
        forgotten: As `agent_occupancies` takes it.
        nodes: States at one step up to which V is found.

    Raises:
        InvalidInput: As in `agent_occupancies`; or a reward that remembers what is not observed, or
            a policy that does what is illegal.
    """
    task = with_overseer(task)
    mdp = enumerated(task.world)
    truth, acting = _Truth(task, mdp), _Acting(policy, greedy)
    steps: list[list[tuple[Situation, Floats, Floats]]] = [[] for _ in range(task.world.max_steps)]

    def asked(situation: Situation, weights: Floats, chosen: Floats) -> None:
        if (chosen[~situation.masks] > 0).any():
            raise InvalidInput("policy", "an illegal action", "a policy over legal actions")
        clock = int(situation.states["clock"][0])
        steps[clock].append((situation, weights.copy(), chosen))

    for _ in agent_occupancies(task, acting, mdp=mdp, forgotten=forgotten, asked=asked):
        pass
    walk = _Walk(task, acting, model, nodes)
    wrong, mistaken, paid = np.zeros((3, len(steps)))
    for t, met in enumerate(steps):
        for situation, weights, chosen in met:
            row, action = np.nonzero(chosen > 0)
            thought = walk.ask(situation.observations, situation.masks, row, action, chosen)
            weight = weights[row] * chosen[row, action]
            happens, due = truth.outcomes(situation, row, action, t)
            expected = np.bincount(thought.source, thought.probability * thought.rewards, len(row))
            wrong[t] += weight @ _distance(happens, thought, len(row))
            mistaken[t] += weight @ np.abs(due - expected)
            paid[t] += weight @ due
        walk.close(t)
    discounts = float(task.gamma) ** np.arange(len(steps))
    imagined, spans = nan, _spans(model, len(steps), float(task.gamma))
    if walk.whole:
        begins = [(x.observations, x.masks, w) for x, w, _ in steps[0]]
        initial = (np.concatenate(part) for part in zip(*begins, strict=True))
        imagined, spans = walk.values(*initial)
    bound = discounts @ (mistaken + task.gamma * wrong * spans)
    summed = float(wrong.sum()), float(mistaken.sum()), float(discounts @ paid)
    return ModelError(*summed, float(bound), imagined)


def _spans(model: LearntModel, steps: int, gamma: float) -> Floats:
    """[T] what returns after each step can differ by, whatever the policy."""
    low, high = model.reward_range
    left = steps - 1 - np.arange(steps)
    ahead = np.cumsum(np.append(0.0, gamma ** np.arange(steps)))[left]
    return np.asarray((high - low) * ahead, np.float64)


class _Acting:
    """A policy without its rarest actions."""

    def __init__(self, policy: Policy, greedy: bool) -> None:
        self.policy, self.greedy = policy, greedy

    def probabilities(self, situation: Situation) -> Floats:
        chosen = action_weights(self.policy, self.greedy, situation)
        kept = np.where(chosen < RAREST_ACTION, 0.0, chosen)
        probabilities: Floats = kept / kept.sum(axis=1, keepdims=True)
        return probabilities


class _Happening(NamedTuple):
    """What steps lead to in truth: as `Imagined`, the rewards apart."""

    source: Ints
    probability: Floats
    ended: Bools
    observations: Floats32
    masks: Bools


class _Truth:
    """What happens in a task, by what is seen in it."""

    def __init__(self, task: Task, mdp: TabularMDP) -> None:
        self.task, self.mdp, self.shown = task, mdp, ShownStates.of(mdp)
        self._pay = replace(task.pay, reward_function=task.reward_function.mean)
        keys = mdp.pair_state.astype(np.int64) * task.n_actions + mdp.pair_action
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def outcomes(
        self, situation: Situation, row: Ints, action: Ints, t: int
    ) -> tuple[_Happening, Floats]:
        """What taking actions [p] in the situations of these rows leads to, and pays [p]."""
        task, mdp, world = self.task, self.mdp, self.task.world
        states = mdp.record_index.find(situation.states)
        pair = self._order[np.searchsorted(self._keys, states[row] * task.n_actions + action)]
        count = mdp.edge_start[pair + 1] - mdp.edge_start[pair]
        source = np.repeat(np.arange(len(pair)), count)
        offset = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        edge = mdp.edge_start[pair[source]] + offset
        reached, of = mdp.edge_next[edge], row[source]
        last = t + 1 == world.max_steps
        over = mdp.terminal[reached]
        seen = situation.observations[:, len(world.observation_names) + 1 :].astype(np.float64)
        since, facts = seen[:, : len(task.windows)], mdp.state_facts[states]
        before, after = facts[of], mdp.state_facts[reached] + mdp.flow_table[mdp.edge_flow[edge]]
        acquired = None
        if task.acquired_so_far:
            acquired = seen[of, -1] + acquired_in(after, world)
        windows = {k: since[:, i] for i, k in enumerate(task.windows)}
        memory = self._pay.reward_function.recall(Facts(facts, world), windows)
        if memory is None:
            allowed = "a reward whose memory is observed"
            raise InvalidInput("reward", reward_name(task.reward), allowed)
        paid, _ = self._pay.step(
            Step(
                memory[of],
                Facts(before, world),
                Facts(after, world),
                np.full(len(edge), t + 1),
                over | last,
                ~over & last,
                np.zeros(len(edge)),
                _of(situation.states, of),
                action[source],
                acquired,
            )
        )
        marks = self.shown.progress[states][of, None] - since[of]
        features, masks = self.shown.features[reached], self.shown.masks[reached]
        progress = self.shown.progress[reached]
        shown = observations(task, features, progress, t + 1, marks, acquired)
        chance = mdp.edge_probability[edge]
        due: Floats = np.bincount(source, chance * paid, len(pair)).astype(np.float64)
        return _Happening(source, chance, over | last, shown, masks), due


def _of(records: Records, rows: Ints) -> Records:
    chosen: Any = np.asarray(records)[rows].view(np.recarray)
    found: Records = chosen
    return found


class _Layer(NamedTuple):
    """What the policy does in the model at one step, in the states of `seen`.

    Attributes:
        seen: The states.
        source: [E] number of the state that an outcome comes from.
        probability: [E] of policy and model together.
        rewards: [E].
        following: [E] number of the state of the next layer; -1 for an end.
    """

    seen: WordTable
    source: Ints
    probability: Floats
    rewards: Floats
    following: Ints


class _Walk:
    """Everything that a policy can meet in a model, step by step, from where it is in truth.

    Attributes:
        whole: False once it was too much.
    """

    def __init__(self, task: Task, acting: _Acting, model: LearntModel, most: int) -> None:
        self.task, self.acting, self.model, self._most = task, acting, model, most
        self._sizes = task.observation_size, task.n_actions
        self.whole = True
        self._parts: list[tuple[Ints, Floats, Imagined]] = []
        self._met: WordTable | None = None
        self._layers: list[_Layer] = []
        self._seen, self._next = self._table(), self._table()

    def _table(self) -> WordTable:
        return WordTable(pack_seen(*_blank(*self._sizes)).shape[1])

    def ask(
        self, observations: Floats32, masks: Bools, row: Ints, action: Ints, chosen: Floats
    ) -> Imagined:
        """What the model says of these actions [p], and take it down for the walk."""
        said = _common(self.model.outcomes(observations[row], masks[row], action), len(row))
        if self.whole:
            numbers, _ = self._seen.add(pack_seen(observations, masks))
            self._parts.append((numbers[row], chosen[row, action], said))
        return said

    def close(self, t: int) -> None:
        """Go where the model leads at step t beside the states that were asked about."""
        if not self.whole:
            return
        asked = [number for number, _, _ in self._parts]
        rest = np.setdiff1d(np.arange(self._seen.count), np.concatenate([*asked, [-1]]))
        if self._seen.count > self._most:
            self.whole = False
            return
        if len(rest):
            seen, masks = unpack_seen(self._seen.rows[rest], *self._sizes)
            blank = self.task.world.records(len(rest))
            blank["clock"] = t
            (actor,) = self.task.world.acting
            chosen = self.acting.probabilities(Situation(seen, masks, blank, actor))
            row, action = np.nonzero(chosen > 0)
            self.ask(seen, masks, row, action, chosen)
        parts = [(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))]
        for number, chance, said in self._parts:
            reached, on = np.full(len(said.source), -1, np.int64), ~said.ended
            reached[on], _ = self._next.add(pack_seen(said.observations[on], said.masks[on]))
            probability = chance[said.source] * said.probability
            parts.append((number[said.source], probability, said.rewards, reached))
        joined: list[Any] = [np.concatenate(part) for part in zip(*parts, strict=True)]
        self._layers.append(_Layer(self._seen, *joined))
        self._seen, self._next, self._parts = self._next, self._table(), []

    def values(self, seen: Floats32, masks: Bools, weights: Floats) -> tuple[float, Floats]:
        """Expected value of initial states with `weights` [n], and [T] span of V_{t+1}."""
        gamma, spans = float(self.task.gamma), np.zeros(len(self._layers))
        ahead = np.zeros(1)  # the last is an end
        for t in reversed(range(len(self._layers))):
            layer = self._layers[t]
            if t + 1 == len(self._layers):
                ahead = np.zeros(self._seen.count + 1)
            spans[t] = ahead.max() - ahead.min()
            terms = layer.probability * (layer.rewards + gamma * ahead[layer.following])
            ahead = np.append(np.bincount(layer.source, terms, layer.seen.count), 0.0)
        numbers = self._layers[0].seen.find(pack_seen(seen, masks))
        return float(weights @ ahead[numbers] / weights.sum()), spans


def _blank(inputs: int, actions: int) -> tuple[Floats32, Bools]:
    return np.zeros((0, inputs), np.float32), np.zeros((0, actions), np.bool_)


def _common(said: Imagined, count: int) -> Imagined:
    """Without the rarest outcomes, by step."""
    kept = said.probability >= RAREST_OUTCOME
    order = np.flatnonzero(kept)[np.argsort(said.source[kept], kind="stable")]
    parts: list[Any] = [part[order] for part in said]
    found = Imagined(*parts)
    total = np.bincount(found.source, found.probability, count)
    return found._replace(probability=found.probability / total[found.source])


def _distance(true: _Happening, said: Imagined, count: int) -> Floats:
    """[p] total-variation distance between what steps lead to and what is said of them."""
    places = np.arange(count + 1)
    out = np.zeros(count)
    _compare(
        np.searchsorted(true.source, places),
        np.searchsorted(said.source, places),
        true.probability,
        said.probability,
        true.ended,
        said.ended,
        true.observations,
        said.observations,
        true.masks,
        said.masks,
        out,
    )
    return out


@njit(cache=True, nogil=True)
def _compare(
    starts: Any,
    said_starts: Any,
    chance: Any,
    said_chance: Any,
    ended: Any,
    said_ended: Any,
    seen: Any,
    said_seen: Any,
    masks: Any,
    said_masks: Any,
    out: Any,
) -> None:
    """Half the sum of differences in probability; those of equal outcomes are added up."""
    for pair in range(len(out)):
        start, end = said_starts[pair], said_starts[pair + 1]
        left = np.zeros(end - start)
        for k in range(start, end):
            first = k
            for j in range(start, k):
                if _equal(
                    said_ended[j],
                    said_ended[k],
                    said_seen[j],
                    said_seen[k],
                    said_masks[j],
                    said_masks[k],
                ):
                    first = j
                    break
            left[first - start] += said_chance[k]
        total = 0.0
        for e in range(starts[pair], starts[pair + 1]):
            found = -1
            for k in range(start, end):
                if _equal(ended[e], said_ended[k], seen[e], said_seen[k], masks[e], said_masks[k]):
                    found = k
                    break
            if found < 0:
                total += chance[e]
            else:
                left[found - start] -= chance[e]
        for k in range(len(left)):
            total += abs(left[k])
        out[pair] = 0.5 * total


@njit(cache=True, nogil=True)
def _equal(
    ended: Any,
    other_ended: Any,
    seen: Any,
    other_seen: Any,
    masks: Any,
    other_masks: Any,
) -> Any:
    if ended or other_ended:
        return ended and other_ended
    for j in range(len(seen)):
        if abs(seen[j] - other_seen[j]) > SAME:
            return False
    same = True
    for a in range(len(masks)):
        same &= masks[a] == other_masks[a]
    return same
