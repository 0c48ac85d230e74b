"""What every agent has in common: how it is asked for, trained and handed back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from powerseek.agents.checkpoint import Checkpoint
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.exact.overseer import overseen
from powerseek.registry import agents
from powerseek.types import Policy

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
        timesteps: Environment steps so far, all copies together.
        updates: Gradient steps so far.
        policy: The policy as it now is; it changes with the next update, so use it at once.
        first_reward: Environment steps at which a reward other than 0 was first paid.
    """

    timesteps: int
    updates: int
    policy: Policy
    first_reward: int | None = None


Callback = Callable[[Progress], bool | None]
"""Called before the first update and after every one; False ends training."""


@dataclass(frozen=True)
class TrainedAgent:
    """An agent that is ready to act.

    Attributes:
        agent: Agent id.
        policy: What it does.
        timesteps: Environment steps it was trained for, all copies together.
        updates: Gradient steps.
        first_reward: Environment steps at which a reward other than 0 was first paid; None if
            never.
        settings: All the settings it was trained with.
        model: The library's own model, where there is one.
    """

    agent: str
    policy: Policy
    timesteps: int = 0
    updates: int = 0
    first_reward: int | None = None
    settings: Settings = field(default_factory=dict)
    model: Any = field(default=None, repr=False)


CohortCallback = Callable[[Mapping[int, Progress]], Iterable[int] | None]
"""Called before the first update and after every one with how far each agent of a cohort is, by its
number; the training of the agents whose numbers it gives back ends there, that of the others goes
on."""


@dataclass(frozen=True)
class Failure:
    """Why one agent of a cohort could not be trained to its end.

    Attributes:
        timesteps: Environment steps it had taken, all copies together.
        updates: Gradient steps it had taken.
        reason: In a line.
        losses: Means over its last update, by name; empty before it.
        trace: Where an unforeseen error came from, as Python shows it; else empty.
    """

    timesteps: int
    updates: int
    reason: str
    losses: Mapping[str, float] = field(default_factory=dict)
    trace: str = field(default="", repr=False)

    def __str__(self) -> str:
        """When, why and what was measured last, in a line."""
        last = ", ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
        return (
            f"at step {self.timesteps:,} ({self.updates:,} updates): {self.reason}"
            f"{f'; its last update: {last}' if last else ''}"
        )


class TrainingFailed(PowerseekError):
    """An agent could not be trained to its end.

    Attributes:
        failure: When and why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"training failed {failure}")
        self.failure = failure

    def __reduce__(self) -> tuple[type[TrainingFailed], tuple[Failure]]:
        """Pickle by arguments, so that the error survives the way back from a worker."""
        return type(self), (self.failure,)


@dataclass(frozen=True)
class CohortAgent(TrainedAgent):
    """An agent of a cohort.

    Attributes:
        failed: None, or what went wrong; then there is no model, and the policy is not to be
            used.
        losses: Means over its last update, by name.
    """

    failed: Failure | None = None
    losses: Mapping[str, float] = field(default_factory=dict)


class Builder:
    """Base of every agent. Subclasses are never instantiated.

    Attributes:
        id: Set by the registry.
        learns: Whether it needs timesteps.
        resumes: Whether its `build` takes a keyword ``checkpoint`` too, and goes on from it.
        cohort_shares: Settings that agents trained together have in common; empty where it has
            no `build_cohort`.
    """

    id: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    cohort_shares: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.id = agents.builtin_id(cls) or cls.id

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """All settings for `task`: the agent's own, replaced by what is `given`.

        Raises:
            InvalidInput: An unknown setting, a value that is not allowed, or a task for which
                there is no such agent.
        """
        for name in given:
            raise InvalidInput(f"settings.{cls.id}", name, f"no settings: {cls.id} has none")
        return {}

    @classmethod
    def build(
        cls,
        task: Task,
        seed: int,
        timesteps: int,
        settings: Settings,
        callback: Callback | None,
        device: str,
    ) -> TrainedAgent:
        """The agent, trained; `settings` are complete."""
        raise NotImplementedError

    @classmethod
    def build_cohort(
        cls,
        tasks: Sequence[Task],
        seeds: Sequence[int],
        timesteps: int,
        settings: Sequence[Settings],
        callback: CohortCallback | None,
        checkpoints: Sequence[Checkpoint | None],
    ) -> Sequence[CohortAgent]:
        """An agent for each of `tasks`, each as `build` would train it alone, bit for bit.

        One that fails says so (`CohortAgent.failed`) and costs the others nothing.
        """
        raise NotImplementedError


def check_agent(task: Task, agent: str, settings: Settings | None = None) -> dict[str, Any]:
    """The complete settings that `train` would use; loads no learner.

    Raises:
        InvalidInput: As in `train`.
    """
    chosen: dict[str, Any] = agents.get(agent).settings(task, settings or {})
    return chosen


def train(
    task: Task,
    agent: str = "maskable-ppo",
    *,
    seed: int = 0,
    timesteps: int = 0,
    settings: Settings | None = None,
    callback: Callback | None = None,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> TrainedAgent:
    """Train `agent` on `task`; scripted agents and planners are ready at once.

    The same seed and settings give the same weights, bit for bit, on one kind of machine.

    Args:
        task: What it is trained on. An arm that needs an overseer and has none gets the exact
            one (`powerseek.exact.overseen`), for which the world is enumerated.
        agent: Agent id.
        seed: Seed of weights, exploration and the copies of the world, >= 0.
        timesteps: Environment steps, rounded up to whole batches of experience.
        settings: What replaces the settings of `powerseek.agents.settings`.
        callback: Called before the first update and after every one; False ends training.
        device: Where the network lives, as PyTorch names it.
        checkpoint: Where the state of training is kept now and then, and read at the start: an
            interrupted training, called again with the same arguments, goes on from there and
            ends as if it had never been interrupted, bit for bit. Not kept for agents that do
            not learn, nor in foreign worlds, whose copies cannot be taken down.

    Raises:
        InvalidInput: An unknown agent or setting, a value that is not allowed, or a world too
            large for the exact overseer that its arm needs.
    """
    builder = agents.get(agent)
    if not isinstance(seed, int) or seed < 0:
        raise InvalidInput("seed", seed, "an integer >= 0")
    if builder.learns and timesteps < 1:
        raise InvalidInput("timesteps", timesteps, "an integer >= 1")
    chosen = check_agent(task, agent, settings)
    more = {"checkpoint": checkpoint} if checkpoint is not None and builder.resumes else {}
    trained: TrainedAgent = builder.build(
        overseen(task), seed, timesteps, chosen, callback, device, **more
    )
    return trained
