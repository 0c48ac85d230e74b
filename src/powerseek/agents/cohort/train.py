"""Many small PPO agents trained in one process.

A study's agents differ in seed, goal, reward arm, discount and a few coefficients; training them
one by one in a general library costs mostly the library's own overhead. Here they take turns on
one set of arrays that stays in the processor's cache: measured, stacking agents into one batched
matrix product saves nothing at the minibatches in use and costs a third where the stack outgrows
the cache. Taking turns, an agent computes exactly what it would compute alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from powerseek.agents.base import (
    Callback,
    CohortAgent,
    CohortCallback,
    Failure,
    Progress,
    Settings,
    TrainedAgent,
    TrainingFailed,
)
from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.cohort.checkpointing import put_back, take_down
from powerseek.agents.cohort.export import library_model, untrained_network
from powerseek.agents.cohort.ppo import Learner, Workshop
from powerseek.agents.sb3.adapter import NetworkPolicy, training_card
from powerseek.agents.settings import COHORT_SHARES, settings_for
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.exact.overseer import overseen

AGENT = "cohort-ppo"
RESERVE = 2**30
"""Bytes that stay free while agents are made: what training and measuring them takes besides."""
_SYSTEM, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def train_cohort(
    tasks: Sequence[Task],
    seeds: Sequence[int],
    timesteps: int,
    settings: Sequence[Settings] | None = None,
    callback: CohortCallback | None = None,
    device: str = "cpu",
    threads: int = 1,
    checkpoints: Sequence[Checkpoint | None] | None = None,
) -> list[CohortAgent]:
    """Train one agent on each of `tasks`, all in this process (PyTorch is set to one thread).

    An agent's weights, actions and rewards are bit for bit those it would have alone, whoever
    its companions are, how many, and in what order; one that fails changes nothing for them.
    Every agent starts from the weights that ``maskable-ppo`` has at its seed, meets the same
    chance of the world, and takes as many environment steps and gradient steps; its own draws
    (actions, shuffles) are others, so trainings are equal in distribution and not in number.

    Args:
        tasks: What each is trained on. All must have the same world, observation size and
            number of actions; rewards, discounts, parameters and the rest may differ.
        seeds: One an agent, >= 0: weights, exploration, shuffles and the copies of the world.
        timesteps: Environment steps of each agent, rounded up to whole batches of experience.
        settings: What replaces the settings of `powerseek.agents.settings`, for each agent; all
            but n_envs, n_steps, batch_size, n_epochs, net and activation may differ.
        callback: Called before the first update and after every one with how far each agent is,
            by its number; the training of the agents whose numbers it gives back ends there.
        device: Where the networks are: ``cpu``, or ``cuda`` where PyTorch sees such a device. The
            world and the loss stay on the processor, and what is said above of bits is promised
            there alone.
        threads: Agents that compute at the same time, >= 1; it changes no number.
        checkpoints: Where the state of each agent's training is kept, as in
            `powerseek.agents.train`: whoever its companions were then or are now, it goes on
            from there bit for bit.

    Returns:
        One agent a task, in order; `CohortAgent.failed` says which of them failed.

    Raises:
        InvalidInput: Agents that cannot share a cohort, a value that is not allowed, a world too
            large for the exact overseer that its arm needs, or more agents than memory has room
            for.
    """
    check_device(device)
    if not isinstance(timesteps, int) or timesteps < 1:
        raise InvalidInput("timesteps", timesteps, "an integer >= 1")
    if not isinstance(threads, int) or threads < 1:
        raise InvalidInput("threads", threads, "an integer >= 1")
    chosen = check_cohort(tasks, seeds, settings)
    kept = [None] * len(tasks) if checkpoints is None else checkpoints
    if len(kept) != len(tasks):
        raise InvalidInput("checkpoints", len(kept), f"{len(tasks)} of them: one for each task")
    torch.set_num_threads(1)
    judged = {id(task): overseen(task) for task in tasks}
    members: list[_Member] = []
    for i, task in enumerate(tasks):
        try:
            _check_memory(i, len(tasks))
            given = (i, judged[id(task)], seeds[i], timesteps, chosen[i], kept[i], device)
            members.append(_member(*given))
        except MemoryError:
            raise _too_large(i, len(tasks)) from None
    workshops = [
        Workshop(chosen[0], tasks[0].observation_size, tasks[0].n_actions, device)
        for _ in range(min(threads, len(tasks)))
    ]
    # Within an agent one thread always: more would add in another order.
    with ThreadPoolExecutor(
        len(workshops), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        while training := _going_on(members, callback):
            shares = [training[i :: len(workshops)] for i in range(len(workshops))]
            list(pool.map(_update_all, shares, workshops))
    return [member.handed_back() for member in members]


def check_device(device: str) -> None:
    """Refuse a device on which cohorts cannot be trained.

    Raises:
        InvalidInput: It is neither the processor nor a CUDA device that PyTorch sees.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ["cpu", *(["cuda"] if seen else []), *(f"cuda:{i}" for i in range(seen))]
    if device not in names:
        why = "" if seen else " (PyTorch sees no CUDA device here)"
        raise InvalidInput("device", device, f"{', '.join(names)}{why}", "Write cpu.")


def _check_memory(made: int, wanted: int) -> None:
    free = free_memory()
    if free is not None and free < RESERVE:
        raise _too_large(made, wanted)


def _too_large(made: int, wanted: int) -> InvalidInput:
    fit = made * 3 // 4
    if not fit:
        allowed = f"at least {RESERVE / 2**30:g} GB of free memory for any training"
        return InvalidInput("memory", f"too little for a cohort of {wanted}", allowed)
    allowed = f"at most {fit} agents: memory was full after {made}"
    return InvalidInput("cohort", wanted, allowed, f"Write cohort: {fit}.")


def _going_on(members: Sequence[_Member], callback: CohortCallback | None) -> list[_Member]:
    """Tell how far the agents are, keep what is due; those for which another update is to come."""
    sound = [member for member in members if member.failed is None and not member.ended]
    news = [member for member in sound if member.told < member.learner.timesteps]
    ended = set(callback({m.number: m.progress for m in news}) or ()) if callback and news else ()
    for member in news:
        member.told = member.learner.timesteps
        member.ended = member.number in ended
        if not member.ended:
            member.keep()
    return [m for m in sound if not m.ended and m.learner.timesteps < m.learner.total]


def _update_all(members: Sequence[_Member], workshop: Workshop) -> None:
    for member in members:
        member.update(workshop)


def train_alone(
    task: Task,
    seed: int,
    timesteps: int,
    settings: Settings,
    callback: Callback | None,
    device: str,
    checkpoint: Checkpoint | None = None,
) -> TrainedAgent:
    """A cohort of one; see `powerseek.agents.train`.

    Raises:
        TrainingFailed: It failed.
    """

    def told(now: Any) -> tuple[int, ...]:
        return (0,) if callback is not None and callback(now[0]) is False else ()

    agent = train_cohort(
        [task], [seed], timesteps, [settings], told, device, checkpoints=[checkpoint]
    )[0]
    if agent.failed is not None:
        raise TrainingFailed(agent.failed)
    return agent


def check_cohort(
    tasks: Sequence[Task], seeds: Sequence[int], settings: Sequence[Settings] | None = None
) -> list[dict[str, Any]]:
    """The complete settings of each agent of a cohort, if they can share one.

    Raises:
        InvalidInput: They cannot: it names the first field that differs, and both values.
    """
    count = len(tasks)
    given = [{}] * count if settings is None else settings
    if not count:
        raise InvalidInput("tasks", [], "at least one task")
    for name, length in (("seeds", len(seeds)), ("settings", len(given))):
        if length != count:
            raise InvalidInput(name, length, f"{count} of them: one for each task")
    for i, seed in enumerate(seeds):
        if not isinstance(seed, int) or seed < 0:
            raise InvalidInput(f"seeds[{i}]", seed, "an integer >= 0")
    chosen = [settings_for(task.world.id, s) for task, s in zip(tasks, given, strict=True)]
    shapes = [_shape(task, s) for task, s in zip(tasks, chosen, strict=True)]
    for i, shape in enumerate(shapes):
        for name, value in shape.items():
            if value != shapes[0][name]:
                raise InvalidInput(
                    f"{'settings' if name in COHORT_SHARES else 'tasks'}[{i}].{name}",
                    value,
                    f"{shapes[0][name]!r}, as the first of its cohort has",
                    "Train it in a cohort of its own.",
                )
    return chosen


def _shape(task: Task, settings: Settings) -> dict[str, Any]:
    """What all agents of a cohort have in common."""
    own = {name: settings[name] for name in COHORT_SHARES}
    kind = type(task.world)
    return {
        "world": task.world.id,
        "rules": f"{kind.__module__}.{kind.__qualname__}",
        "observation_size": task.observation_size,
        "n_actions": task.n_actions,
        **own,
        "net": list(settings["net"]),
    }


class _Member:
    """An agent and where its training stands.

    Attributes:
        told: Environment steps at the last call of the callback; -1 before the first.
        ended: Whether the callback ended its training.
        failed: None, or what went wrong.
    """

    def __init__(
        self,
        number: int,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        checkpoint: Checkpoint | None,
        device: str,
    ) -> None:
        self.number, self.task, self.seed, self.settings = number, task, seed, settings
        self.checkpoint = None if isinstance(task.world, ForeignWorld) else checkpoint
        network = untrained_network(task, seed, settings)
        self.policy = NetworkPolicy(network, masked=True)
        self.learner = Learner(task, seed, timesteps, settings, network, device)
        self.told, self.ended = -1, False
        self.failed: Failure | None = None

    @property
    def progress(self) -> Progress:
        """How far it is."""
        learner = self.learner
        return Progress(learner.timesteps, learner.updates, self.policy, learner.first_reward)

    @property
    def card(self) -> dict[str, Any]:
        """What a checkpoint must be of to fit."""
        rules = getattr(self.learner.copies.world, "rules", None)
        total, device = self.learner.total, self.learner.networks.weights.device.type
        return training_card(self.task, AGENT, self.seed, total, self.settings, device, rules)

    def keep(self) -> None:
        """Write the checkpoint, if one is due."""
        if self.checkpoint is not None and self.checkpoint.due:
            self.checkpoint.write(self.card, take_down(self.learner, self.checkpoint.keep()))

    def restored(self) -> bool | None:
        """True if it goes on from its checkpoint, False if it starts at zero.

        None if it starts at zero and must be made anew for that.
        """
        parts = None if self.checkpoint is None else self.checkpoint.read(self.card)
        if self.checkpoint is None or parts is None:
            return False
        try:
            self.checkpoint.take(put_back(self.learner, parts))
        except Exception as error:  # whatever a strange file does, zero is right
            self.checkpoint.ignore(f"cannot be used ({type(error).__name__})")
            return None
        self.told = self.learner.timesteps
        return True

    def update(self, workshop: Workshop) -> None:
        """One update; if that fails, it is the last."""
        try:
            self.learner.iterate(workshop)
        except PowerseekError as error:
            self._fail(f"{type(error).__name__}: {error}")
        except Exception as error:  # whatever one world or arm does, companions go on
            self._fail(f"{type(error).__name__}: {error}", traceback.format_exc())
        else:
            if not self.learner.sound:
                self._fail("its weights ceased to be numbers")

    def _fail(self, reason: str, trace: str = "") -> None:
        learner = self.learner
        self.failed = Failure(learner.timesteps, learner.updates, reason, learner.losses, trace)

    def handed_back(self) -> CohortAgent:
        """The agent, trained or failed."""
        learner, model = self.learner, None
        close = getattr(learner.copies.world, "close", None)
        if close is not None:
            close()
        policy = self.policy
        if self.failed is None:
            model = library_model(self.task, self.seed, self.settings, learner, policy.network)
            policy = NetworkPolicy(model.policy, masked=True)
        policy.network.set_training_mode(False)
        return CohortAgent(
            AGENT,
            policy,
            learner.timesteps,
            learner.updates,
            learner.first_reward,
            dict(self.settings),
            model,
            self.failed,
            dict(learner.losses),
        )


def _member(
    number: int,
    task: Task,
    seed: int,
    timesteps: int,
    settings: Settings,
    checkpoint: Checkpoint | None,
    device: str,
) -> _Member:
    """An agent where its checkpoint stands, or untrained."""
    given = (number, task, seed, timesteps, settings, checkpoint, device)
    member = _Member(*given)
    return _Member(*given) if member.restored() is None else member


def free_memory(system: Path = _SYSTEM, group: Path = _GROUP) -> int | None:
    """Bytes that a process here can still take; None where the system does not say.

    Args:
        system: Linux's account of the machine.
        group: Linux's account of the control group, whose limit may be lower (version 2).
    """
    free = [found for found in (_machine(system), _limit(group)) if found is not None]
    return min(free, default=None)


def _machine(path: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _limit(folder: Path) -> int | None:
    try:
        most = int((folder / "memory.max").read_text())
        return max(0, most - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
