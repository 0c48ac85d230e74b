"""Phases of a training: imitation and reinforcement, one after the other, as studies write them.

``[{imitate: minimalist, episodes: 200, steps: 1000}, {reward: task, leash: {to: 0, kl: 0.02}}]``:
behaviour cloning of demonstrations, then learning by reward, held near to what was cloned.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from powerseek.agents.rollout import sample_actions
from powerseek.agents.saving import load_agent
from powerseek.agents.settings import PHASES
from powerseek.agents.spec import read_agent
from powerseek.agents.training import check_agent, train
from powerseek.envs.rewards.spec import Spec, reward_name
from powerseek.envs.task import Task, VecTask
from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact.overseer import learnt_overseer, with_overseer
from powerseek.registry import agents
from powerseek.types import Bools, Floats32, Ints, Policy

TASK = "task"
"""The reward of a phase that is the task's own."""

MAX_PHASES = 16
EPISODES, STEPS, BATCH_SIZE = 200, 1000, 256
"""Demonstrated episodes of an imitation, its gradient steps and transitions in each."""

_LIMITS = {"episodes": (0, 20_000), "steps": (0, 10_000_000), "batch_size": (1, 2**20)}
_IMITATE = ("imitate", *_LIMITS, "where", "hide", "in")
_REWARD = ("reward", "timesteps", "leash", "in")
_PHASE = "{imitate: AGENT, episodes: n, steps: n}, or {reward: task, leash: {to: 0, kl: x}}"
_STREAM = 0x70686173
"""Stream below an agent's seed."""


@dataclass(frozen=True)
class Demonstrator:
    """One whose actions are imitated: an agent that does not learn, or a kept model.

    Attributes:
        agent: Its id; of a kept model "".
        weight: Share of the episodes, in the unit of the others'; > 0.
        settings: Its settings.
        model: Path of a kept model; "" of any other.
    """

    agent: str
    weight: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""

    def policy(self, task: Task, seed: int) -> Policy:
        """The policy, in the demonstrated task."""
        if self.model:
            return load_agent(self.model, task).policy
        return train(task, {self.agent: self.settings}, seed=seed).policy


@dataclass(frozen=True)
class Imitation:
    """Behaviour cloning: gradient steps on -log probability of demonstrated actions.

    Attributes:
        demonstrators: Whose episodes, in proportion to their weights.
        episodes: Demonstrated episodes, >= 0.
        steps: Gradient steps, >= 0; none leaves every weight as it is.
        batch_size: Transitions in each.
        where: Feature, or fact of the world, -> value: only moments that have it are imitated. A
            fact holds whether the agent sees it or not.
        hide: Features that are 0 in what is imitated.
        inside: Parameters in which the world is demonstrated, instead of the task's.
    """

    demonstrators: tuple[Demonstrator, ...]
    episodes: int = EPISODES
    steps: int = STEPS
    batch_size: int = BATCH_SIZE
    where: Mapping[str, float] = field(default_factory=dict)
    hide: tuple[str, ...] = ()
    inside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Leash:
    """A price on divergence: ``kl`` x log(policy / prior) of every action is taken off its reward.

    Attributes:
        to: The prior: the number of an earlier phase, as it ended, or whose policy it is.
        kl: Price of a nat, >= 0, in the unit of the reward.
    """

    to: int | Demonstrator
    kl: float


@dataclass(frozen=True)
class Reinforcement:
    """Learning by reward.

    Attributes:
        reward: The reward; ``task`` for the task's own.
        timesteps: Environment steps; None for all that the other phases leave.
        leash: What holds it to a prior; None for nothing.
        inside: Parameters in which the world is acted in, instead of the task's.
    """

    reward: Spec = TASK
    timesteps: int | None = None
    leash: Leash | None = None
    inside: Mapping[str, Any] = field(default_factory=dict)


Phase: TypeAlias = Imitation | Reinforcement
WITHOUT = (Reinforcement(),)
"""The phases of a training that is given none."""


def read_phases(written: Any, task: Task, name: str = "phases") -> tuple[Phase, ...]:
    """The phases that a list says, each checked against the task.

    Args:
        written: A list of phases, as a study writes one.
        task: What is trained on.
        name: What errors call the list.

    Raises:
        InvalidInput: It is none, or a phase in it is not allowed; names it.
    """
    if not isinstance(written, list | tuple) or not 1 <= len(written) <= MAX_PHASES:
        allowed = f"a list of 1 to {MAX_PHASES} phases, each {_PHASE}"
        raise InvalidInput(name, written, allowed, "Write [{imitate: minimalist}, {reward: task}].")
    return tuple(_read(one, i, task, f"{name}[{i}]") for i, one in enumerate(written))


def written_phases(
    written: Sequence[Any], task: Task, name: str = "phases"
) -> list[dict[str, Any]]:
    """A list of phases as plain values, all that its numbers depend on among them.

    A kept model is told by its contents: two files at one path are two demonstrators.

    Raises:
        InvalidInput: As in `read_phases`.
    """
    phases = read_phases(written, task, name)
    told = [dict(one) for one in written]
    for one, phase in zip(told, phases, strict=True):
        if isinstance(phase, Imitation):
            one |= {"episodes": phase.episodes, "steps": phase.steps}
            one |= {"batch_size": phase.batch_size}
            models = [who.model for who in phase.demonstrators if who.model]
            if models:
                held = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in models]
                if one.setdefault("contents", held) != held:
                    allowed = "models as they were: another one lies at that path now"
                    raise InvalidInput(f"{name}.imitate", models, allowed)
    return told


def phase_rewards(settings: Mapping[str, Any]) -> list[Spec]:
    """Rewards of the phases in complete settings that are not the task's own."""
    phases = [one for one in settings.get(PHASES, ()) if isinstance(one, Mapping)]
    return [one["reward"] for one in phases if one.get("reward", TASK) != TASK]


def phase_ends(
    phases: Sequence[Phase], timesteps: int, batch: int, name: str = "phases"
) -> tuple[int, ...]:
    """Environment steps after which each phase is over, of all that are taken.

    Args:
        phases: The phases.
        timesteps: Of the whole training.
        batch: Steps between two updates: a phase with a reward has one at least.
        name: What errors call the phases.

    Raises:
        InvalidInput: No phase has a reward, one has too few steps, or all together say more than
            there are, or fewer and nobody takes the rest.
    """
    paid = [(i, one.timesteps) for i, one in enumerate(phases) if isinstance(one, Reinforcement)]
    said = sum(steps or 0 for _, steps in paid)
    rest = [i for i, steps in paid if steps is None]
    if not paid:
        allowed = "a phase with a reward among them"
        hint = "Write {reward: task} last, or agents: [imitation]."
        raise InvalidInput(name, "imitation alone", allowed, hint)
    if len(rest) > 1:
        allowed = "timesteps in every phase with a reward but one, which takes what is left"
        raise InvalidInput(f"{name}[{rest[0]}].timesteps", None, allowed)
    left = timesteps - said
    if left < 0 or (left and not rest):
        allowed = f"steps that make up the {timesteps:,} of the training"
        hint = f"Leave timesteps out in phase {paid[-1][0]}: it takes what is left."
        raise InvalidInput(f"{name}.timesteps", said, allowed, hint)
    taken = {i: left if steps is None else steps for i, steps in paid}
    for i, steps in taken.items():
        if steps < batch and len(paid) > 1:
            allowed = f"at least {batch:,}, the steps between two updates (n_envs x n_steps)"
            raise InvalidInput(f"{name}[{i}].timesteps", steps, allowed)
    return tuple(itertools.accumulate(taken.get(i, 0) for i in range(len(phases))))


def check_phases(settings: Mapping[str, Any], task: Task, timesteps: int) -> None:
    """Refuse phases, in complete settings, that do not fit so many environment steps.

    Raises:
        InvalidInput: As in `phase_ends`.
    """
    if written := settings.get(PHASES):
        batch = settings["n_envs"] * settings["n_steps"]
        phase_ends(read_phases(written, task), timesteps, batch, f"settings.{PHASES}")


def phase_task(phase: Phase, task: Task, seed: int) -> Task:
    """The task that a phase acts in, with its overseer; one that is learnt has labels of `seed`."""
    reward = task.reward
    if isinstance(phase, Reinforcement) and phase.reward != TASK:
        reward = phase.reward
    if not phase.inside and reward == task.reward:
        return task
    # What the task's own reward has learnt stays the same in another configuration.
    known = task.overseer if learnt_overseer(task.overseer) and reward == task.reward else None
    there = replace(task, world=task.world.replace(**phase.inside), reward=reward, overseer=known)
    return with_overseer(there, seed=seed)


def phase_labels(phases: Sequence[Phase], number: int, task: Task, paid: Task) -> int:
    """Labels of a model that the phase of that number is the first to be paid by.

    Args:
        phases: All of them.
        number: The phase's.
        task: What is trained on: its own model is bought with it.
        paid: From `phase_task`, of this phase.
    """
    model = learnt_overseer(paid.overseer)
    earlier = [one for one in phases[:number] if isinstance(one, Reinforcement)]
    known = any((one.reward, one.inside) == (paid.reward, phases[number].inside) for one in earlier)
    return 0 if model is None or known or paid.reward == task.reward else model.labels


def phase_seed(seed: int, number: int) -> int:
    """Seed of the chance of a phase, its own for each."""
    (drawn,) = np.random.SeedSequence([seed, _STREAM, number]).generate_state(1, np.uint32)
    return int(drawn)


@dataclass(frozen=True)
class Demonstrations:
    """Demonstrated moments.

    Attributes:
        observations: [N, obs] of the task that is trained on.
        masks: [N, A] legal actions.
        actions: [N] what was done.
    """

    observations: Floats32
    masks: Bools
    actions: Ints


def demonstrations(phase: Imitation, task: Task, seed: int) -> Demonstrations:
    """Whole episodes of the demonstrators, as the trained agent would have seen them.

    Args:
        phase: Whose, how many, and what of them is shown.
        task: What is trained on.
        seed: Seed of the world's chance and of the draws.
    """
    shown, who = phase_task(phase, task, seed), phase.demonstrators
    unpaid = replace(shown, reward="dense", power_weight=0.0, overseer=None)
    names = list(task.observation_names)
    facts = {
        unpaid.world.columns(name).start: value
        for name, value in phase.where.items()
        if name not in names
    }
    parts = [
        _played(one.policy(shown, seed), unpaid, count, seed + i, facts)
        for i, (one, count) in enumerate(zip(who, split(phase.episodes, who), strict=True))
        if count
    ]
    empty = np.zeros((0, shown.observation_size), np.float32)
    nothing = Demonstrations(empty, np.zeros((0, shown.n_actions), np.bool_), np.zeros(0, np.int64))
    seen, masks, actions = (
        np.concatenate([getattr(part, name) for part in [nothing, *parts]])
        for name in ("observations", "masks", "actions")
    )
    observations = np.zeros((len(seen), len(names)), np.float32)
    # What the demonstrated world does not have is 0 there.
    observations[:, [names.index(name) for name in shown.observation_names]] = seen
    kept = np.ones(len(seen), np.bool_)
    for name, value in phase.where.items():
        if name in names:
            kept &= observations[:, names.index(name)] == np.float32(value)
    observations[:, [names.index(name) for name in phase.hide]] = 0.0
    return Demonstrations(observations[kept], masks[kept], actions[kept])


def _played(
    policy: Policy, task: Task, episodes: int, seed: int, facts: Mapping[int, float]
) -> Demonstrations:
    """Every moment of so many episodes, step by step, in which facts (by column) have values."""
    envs, generator = VecTask(task, episodes, seed), np.random.default_rng([seed, _STREAM])
    running = np.ones(episodes, np.bool_)
    seen, masks, done = [], [], []
    while running.any():
        given = policy.probabilities(envs.situation)
        actions = sample_actions(given, generator.random(episodes))
        told = running.copy()
        for column, value in facts.items():
            told &= envs.fresh_facts[:, column] == value
        seen.append(envs.observations[told])
        masks.append(envs.masks[told])
        done.append(actions[told])
        envs.step(actions)
        running &= ~envs.ended
    envs.close()
    return Demonstrations(np.concatenate(seen), np.concatenate(masks), np.concatenate(done))


def _read(written: Any, number: int, task: Task, name: str) -> Phase:
    known = isinstance(written, Mapping) and {"imitate", "reward"} & set(written)
    if not known or len(known) > 1:
        raise InvalidInput(name, written, _PHASE)
    allowed = _IMITATE if "imitate" in written else _REWARD
    for key in written:
        if key not in (*allowed, "contents"):
            raise InvalidInput(f"{name}.{key}", written[key], f"no such key: {', '.join(allowed)}")
    inside = _mapping(written.get("in", {}), f"{name}.in", "{openness: 0}")
    world = _checked_world(inside, task, name)
    if "imitate" in written:
        return _imitation(written, replace(task, world=world, overseer=None), task, inside, name)
    reward = written["reward"]
    if reward != TASK:
        _checked_reward(reward, world, task, name)
    steps = written.get("timesteps")
    if steps is not None and not _whole(steps, 1, 10**12):
        raise InvalidInput(f"{name}.timesteps", steps, "a whole number >= 1")
    return Reinforcement(reward, steps, _leash(written.get("leash"), number, task, name), inside)


def _imitation(
    written: Mapping[str, Any], shown: Task, task: Task, inside: Mapping[str, Any], name: str
) -> Imitation:
    for key, (low, high) in _LIMITS.items():
        if key in written and not _whole(written[key], low, high):
            allowed = f"a whole number, {low} to {high:,}"
            raise InvalidInput(f"{name}.{key}", written[key], allowed)
    who = read_demonstrators(written["imitate"], shown, f"{name}.imitate")
    where = _mapping(written.get("where", {}), f"{name}.where", "{watched: 1}")
    hide = written.get("hide", [])
    hide = [hide] if isinstance(hide, str) else hide
    facts = [fact.name for fact in shown.world.facts if not (fact.flow or fact.shape)]
    facts = [fact for fact in facts if shown.world.has(fact)]
    for key, features, more in (("where", [*where], facts), ("hide", hide, [])):
        for feature in features:
            if feature not in (*task.observation_names, *more):
                allowed = f"features of what is observed: {', '.join(task.observation_names)}"
                allowed += f"; or facts: {', '.join(more)}" if more else ""
                raise InvalidInput(f"{name}.{key}", feature, allowed)
    for feature, value in where.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"{name}.where.{feature}", value, "a number")
    own = {key: written[key] for key in _LIMITS if key in written}
    return Imitation(who, **own, where=where, hide=tuple(hide), inside=inside)


def read_demonstrators(written: Any, task: Task, name: str) -> tuple[Demonstrator, ...]:
    """Those that a spec, or a list of them, says; each checked against the task.

    Raises:
        InvalidInput: One is not allowed; `name` is what the spec is called.
    """
    listed = written if isinstance(written, list | tuple) and written else [written]
    return tuple(_demonstrator(one, task, name) for one in listed)


def split(count: int, demonstrators: Sequence[Demonstrator]) -> list[int]:
    """So many, shared among demonstrators by their weights: the largest remainders go up."""
    weights = np.array([one.weight for one in demonstrators])
    shares = count * weights / weights.sum()
    counts = np.floor(shares).astype(np.int64)
    counts[np.argsort(counts - shares, kind="stable")[: count - counts.sum()]] += 1
    return [int(each) for each in counts]


def _demonstrator(written: Any, task: Task, name: str) -> Demonstrator:
    """From ``ID``, ``{ID: weight}``, ``{ID: {setting: value}}`` or ``{model: PATH}``."""
    weight, spec = 1.0, written
    if isinstance(written, Mapping):
        spec = {key: value for key, value in written.items() if key != "weight"}
        weight = written.get("weight", 1.0)
        if len(spec) == 1 and _number(next(iter(spec.values()))):
            ((spec, weight),) = spec.items()
    if not _number(weight) or not 0 < weight < np.inf:
        raise InvalidInput(name, written, "a weight above 0", "Write [{minimalist: 3}, hoarder].")
    if isinstance(spec, Mapping) and set(spec) == {"model"}:
        load_agent(str(spec["model"]), task)
        return Demonstrator("", float(weight), model=str(spec["model"]))
    id, given = read_agent(spec, name)
    known = [known for known in agents.ids() if not agents.get(known).learns]
    if id not in known:
        allowed = f"an agent that does not learn: {', '.join(known)}"
        raise InvalidInput(name, id, allowed, "Of one that does: {model: PATH} of a kept one.")
    _refused(id, given, task, name)
    return Demonstrator(id, float(weight), given)


def _refused(id: str, given: Mapping[str, Any], task: Task, name: str) -> None:
    """Refuse an agent that the task's world lacks."""
    try:
        check_agent(task, id, given)
    except InvalidInput as error:
        field = name if error.field == "agent" else f"{name}.{error.field}"
        raise InvalidInput(field, error.value, error.allowed, error.hint) from None


def _leash(written: Any, number: int, task: Task, name: str) -> Leash | None:
    if written is None:
        return None
    name, example = f"{name}.leash", "Write leash: {to: 0, kl: 0.02}."
    fits = isinstance(written, Mapping) and set(written) == {"to", "kl"}
    if not fits:
        allowed = "a prior and the price of a nat of divergence from it, {to: 0, kl: 0.02}"
        raise InvalidInput(name, written, allowed, example)
    to, kl = written["to"], written["kl"]
    if not _number(kl) or not 0 <= kl < np.inf:
        raise InvalidInput(f"{name}.kl", kl, "a number >= 0, in the unit of the reward")
    if isinstance(to, int) and not isinstance(to, bool):
        if not 0 <= to < number:
            before = f"0 to {number - 1}" if number else "none: it is the first"
            allowed = f"the number of an earlier phase ({before}), or an agent that does not learn"
            raise InvalidInput(f"{name}.to", to, allowed, "Write to: random, or imitate first.")
        return Leash(to, float(kl))
    return Leash(_demonstrator(to, task, f"{name}.to"), float(kl))


def _checked_world(inside: Mapping[str, Any], task: Task, name: str) -> World:
    """The world of a phase; refused where an agent would see what the task does not show it."""
    try:
        world = task.world.replace(**inside) if inside else task.world
    except InvalidInput as error:
        field = f"{name}.in.{error.field.removeprefix(f'{task.world.id}.')}"
        raise InvalidInput(field, error.value, error.allowed, error.hint) from None
    here = replace(task, world=world, reward="dense", overseer=None)
    strange = [seen for seen in here.observation_names if seen not in task.observation_names]
    if strange or here.world.action_names != task.world.action_names:
        what = f"feature {strange[0]!r}" if strange else "actions"
        allowed = f"a configuration without what the task's agents do not have ({what})"
        raise InvalidInput(f"{name}.in", dict(inside), allowed)
    return world


def _checked_reward(reward: Any, world: World, task: Task, name: str) -> None:
    try:
        paid = replace(task, world=world, reward=reward, overseer=None)
    except InvalidInput as error:
        field = f"{name}.{error.field}"
        raise InvalidInput(field, error.value, error.allowed, error.hint) from None
    if paid.observation_names != task.observation_names:
        new = [seen for seen in paid.observation_names if seen not in task.observation_names]
        allowed = f"a reward of which agents see no more than of the task's (it shows {new[0]!r})"
        hint = f"Give the task windows=... as well, or leave out {reward_name(reward)!r}."
        raise InvalidInput(f"{name}.reward", reward, allowed, hint)


def _mapping(value: Any, name: str, example: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(name, value, f"a mapping, as {example}")
    return dict(value)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
