"""Records of a training: the `Job`, its progress, and the agent or failure that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from powerseek.agents.checkpoint import Checkpoint
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.types import Policy

Settings = Mapping[str, Any]

LEDGER = ("steps", "model_steps", "updates", "flops", "labels", "demonstrations")
"""What a training takes: environment and model steps, gradient steps, floating point operations in
networks, labels of one bit, demonstrated actions. The metrics ``spent_NAME``."""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        timesteps: Environment steps so far, all environments together.
        updates: Gradient steps so far.
        policy: The policy as it now is; it changes with the next update, so use it at once.
        first_reward: Environment steps at which a reward other than 0 was first paid.
        spent: What it has taken so far, by the names of `LEDGER`.
    """

    timesteps: int
    updates: int
    policy: Policy
    first_reward: int | None = None
    spent: Mapping[str, float] = field(default_factory=dict)


Callback = Callable[[Progress], bool | None]
"""Called before the first update and after every one; False ends training."""


@runtime_checkable
class GroupCallback(Protocol):
    """A callback that would rather be called once for all jobs of a cohort than once for each."""

    def __call__(self, progress: Progress) -> bool | None:
        """See Callback."""

    @staticmethod
    def together(news: Sequence[tuple[Any, Progress]]) -> Sequence[bool | None]:
        """Call each of these callbacks with the progress beside it; their answers."""


@dataclass(frozen=True)
class Job:
    """One agent to be trained.

    Attributes:
        task: What it is trained on; its overseer is in place where its reward needs one.
        seed: Seed of weights, exploration and the environments, >= 0.
        timesteps: Environment steps, rounded up to whole batches of experience.
        settings: Complete settings (`Agent.settings`).
        callback: Called before the first update and after every one; False ends training.
        checkpoint: Where the state of training is kept now and then, and read at the start.
        device: Where the network lives, as PyTorch names it.
    """

    task: Task
    seed: int = 0
    timesteps: int = 0
    settings: Settings = field(default_factory=dict)
    callback: Callback | None = None
    checkpoint: Checkpoint | None = None
    device: str = "cpu"

    def card(self, agent: str) -> dict[str, Any]:
        """All on which the numbers of this training depend, as plain values; versions aside."""
        return {
            "agent": agent,
            "seed": self.seed,
            "timesteps": self.timesteps,
            "settings": dict(self.settings),
            "device": self.device.partition(":")[0],
            "rules": self.task.world.rules,
            **self.task.card,
        }


@dataclass(frozen=True)
class TrainedAgent:
    """An agent that is ready to act.

    Attributes:
        agent: Agent id.
        policy: What it does.
        timesteps: Environment steps it was trained for, all environments together.
        updates: Gradient steps.
        first_reward: Environment steps at which a reward other than 0 was first paid; None if
            never.
        settings: All the settings it was trained with.
        model: The library's own model, where there is one; it is saved in the library's format.
        losses: Means over its last update, by name.
        weights: Arrays by name of which `Agent.policy_from` makes the policy, where there is no
            model.
        spent: What its training took, by the names of `LEDGER`.
        beside: Arrays by name that its policy needs beside the model.
    """

    agent: str
    policy: Policy
    timesteps: int = 0
    updates: int = 0
    first_reward: int | None = None
    settings: Settings = field(default_factory=dict)
    model: Any = field(default=None, repr=False)
    losses: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, Any] | None = field(default=None, repr=False)
    spent: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def can_be_saved(self) -> bool:
        """True if there is anything to keep (`powerseek.agents.save_agent`)."""
        return self.model is not None or self.weights is not None


@dataclass(frozen=True)
class Failure:
    """The reason that an agent could not be trained to its end.

    Attributes:
        timesteps: Environment steps it had taken, all environments together.
        updates: Gradient steps it had taken.
        reason: In a line.
        losses: Means over its last update, by name; empty before it.
        error: What was raised, if anything was; it stays in the process.
        trace: Where an unforeseen error came from, as Python shows it; else empty.
    """

    timesteps: int
    updates: int
    reason: str
    losses: Mapping[str, float] = field(default_factory=dict)
    error: Exception | None = field(default=None, repr=False, compare=False)
    trace: str = field(default="", repr=False)

    def __reduce__(self) -> tuple[type[Failure], tuple[Any, ...]]:
        """Pickle without the error: a plugin's need not be made for that."""
        told = self.timesteps, self.updates, self.reason, dict(self.losses), None, self.trace
        return type(self), told

    @property
    def as_error(self) -> PowerseekError:
        """The error that `powerseek.agents.train` raises of it."""
        if isinstance(self.error, InvalidInput) and not self.timesteps:
            return self.error
        return TrainingFailed(self)

    def __str__(self) -> str:
        """Time, reason and last losses, in a line."""
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
