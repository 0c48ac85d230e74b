"""PPO for many small agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.phases import read_demonstrators, written_phases
from powerseek.agents.sb3.agents import LibraryNetwork
from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.settings import COHORT_SHARED, PHASES
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Policy


class CohortPPO(LibraryNetwork):
    """PPO over legal actions alone, made for training many small agents in one process.

    The algorithm of ``maskable-ppo``, without the library's overhead. By its setting ``phases`` it
    imitates and is paid in turn, on a leash if need be (docs/agents.md).
    """

    family = FAMILIES["maskable-ppo"]
    shared: ClassVar[tuple[str, ...] | None] = COHORT_SHARED
    recipe: ClassVar[tuple[str, ...]] = (PHASES,)

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings; `phases` stands there only where it is given."""
        rest = {name: value for name, value in given.items() if name != PHASES}
        chosen = super().settings(task, rest)
        if given.get(PHASES) is not None:
            chosen[PHASES] = written_phases(given[PHASES], task, f"settings.{PHASES}")
        return chosen

    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train."""
        from powerseek.agents.cohort.train import train_cohort

        return train_cohort(jobs)

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """See Agent.load_model."""
        from powerseek.agents.cohort.network import Networks
        from powerseek.agents.cohort.policy import CohortPolicy
        from powerseek.agents.sb3.models import load_policy

        loaded: Any = load_policy(cls.family, path, card, device)
        # A copy: weights laid out otherwise would round otherwise in PyTorch.
        return CohortPolicy(loaded.network, Networks(deepcopy(loaded.network), device))


class Imitation(CohortPPO):
    """Behaviour cloning, from demonstrators who act in the task; nobody is paid.

    Its settings are those of ``cohort-ppo`` without phases, and ``of``: who is imitated, as phases
    say it; by default the world's minimalist, where it has none chance. Environments are shared
    among several by their weights.
    """

    recipe: ClassVar[tuple[str, ...]] = ("of",)

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        rest = {name: value for name, value in given.items() if name != "of"}
        if PHASES in rest:
            raise InvalidInput(f"settings.{PHASES}", rest[PHASES], f"no phases: {cls.id} is one")
        usual = "minimalist" if hasattr(type(task.world), "minimalist") else "random"
        of = given.get("of", usual)
        read_demonstrators(of, task, "settings.of")
        return {**super().settings(task, rest), "of": of}

    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train."""
        from powerseek.agents.cohort.imitation import Imitator
        from powerseek.agents.cohort.train import train_cohort

        return train_cohort(jobs, make=Imitator)
