"""The contract of an agent: `Agent.train` turns jobs into agents.

A single agent is a cohort of one: whatever trains several jobs trains one in the same way.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.job import (
    LEDGER,
    Failure,
    GroupCallback,
    Job,
    Progress,
    Settings,
    TrainedAgent,
)
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.exact.overseer import learnt_overseer
from powerseek.registry import agents
from powerseek.types import Policy


class Agent:
    """An agent: how jobs become policies.

    A learner is a subclass whose instances each train one job::

        @register_agent("my.learner")
        class Learner(Agent):
            learns = True

            def __init__(self, job):     # untrained: networks, environments, generators
                super().__init__(job)
                self.policy = ...

            def update(self):            # one batch of experience and what is learnt from it
                ...
                self.timesteps += steps
                self.updates += 1

    `train` then calls callbacks, keeps checkpoints, and lets one job fail without the others. An
    agent that does not learn sets its policy and has no `update`. What trains in another way
    (an algorithm that runs a loop of its own, jobs in several threads) overrides `train`.

    Args:
        job: What is trained.

    Attributes:
        id: Set by the registry.
        learns: True if it needs timesteps.
        shared: Settings that jobs trained together have in common; None for an agent whose jobs
            a sweep hands over one at a time.
        recipe: Settings that say how it is trained, and nothing of what it is: a saved agent does
            without them.
        whole_episodes: True if it learns from nothing but the returns of whole episodes: at gamma 1
            it cannot tell when within an episode it was paid.
        aside: Settings that say how it plays, and nothing of how it is trained: a sweep trains jobs
            that differ in nothing else side by side.
        policy: What it does now; it may be changed in place.
        timesteps: Environment steps taken, all environments together.
        updates: Gradient steps taken.
        first_reward: Environment steps at which a reward other than 0 was first paid.
        losses: Means over the last update, by name.
        taken: What it has spent besides, by the names of `LEDGER`: ``flops``, say; from the start
            the labels that the task's overseer has learnt from.
    """

    id: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    shared: ClassVar[tuple[str, ...] | None] = None
    recipe: ClassVar[tuple[str, ...]] = ()
    whole_episodes: ClassVar[bool] = False
    aside: ClassVar[tuple[str, ...]] = ()
    policy: Policy

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.id = agents.builtin_id(cls) or cls.id

    def __init__(self, job: Job) -> None:
        self.job = job
        self.timesteps = self.updates = 0
        self.first_reward: int | None = None
        self.losses: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        if (model := learnt_overseer(job.task.overseer)) is not None:
            self.spend(labels=model.labels)

    @property
    def spent(self) -> dict[str, float]:
        """What it has spent so far, by the names of `LEDGER`."""
        counted = {"steps": self.timesteps, "updates": self.updates}
        return {**dict.fromkeys(LEDGER, 0.0), **counted, **self.taken}

    def spend(self, **taken: float) -> None:
        """Add to what is `taken`."""
        for name, value in taken.items():
            self.taken[name] = self.taken.get(name, 0.0) + value

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
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """Train every job; each as it would be trained alone, bit for bit.

        Args:
            jobs: Complete ones, equal in world and in the settings that `shared` names.

        Returns:
            What became of each, in order.
        """
        return train_in_turns([Run(job, cls) for job in jobs])

    def update(self) -> None:
        """Gather one batch of experience and learn from it; whatever it raises is a failure."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any] | None:
        """All that later updates depend on, but for the counters above and the losses.

        Arrays, bytes and plain JSON values, by name; mappings of them likewise. None, as here,
        means that no checkpoint is kept.
        """
        return None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where `state_dict` was taken, of a new instance for an equal job.

        Raises:
            Exception: Of whatever kind, if the state is not one of such a job.
        """
        raise NotImplementedError

    def weights(self) -> dict[str, Any] | None:
        """Arrays of which `policy_from` makes the policy; None, as here: it cannot be saved."""
        return None

    @classmethod
    def policy_from(cls, weights: Mapping[str, Any], card: Mapping[str, Any]) -> Policy:
        """The policy that `weights` are of.

        Args:
            weights: As `weights` gave them.
            card: Names of ``observations`` and ``actions``, complete ``settings``, and more
                (`powerseek.agents.read_card`).
        """
        raise NotImplementedError

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """The policy of an agent saved in a library's own format (`TrainedAgent.model`)."""
        raise NotImplementedError

    @classmethod
    def in_task(cls, policy: Policy, task: Task | None, settings: Settings) -> Policy:
        """A kept policy as it plays in a task: by default as anywhere.

        Args:
            policy: What `policy_from` or `load_model` gave.
            task: Where it is to act; None where nobody says.
            settings: Complete ones, of the agent.
        """
        return policy

    def trained(self) -> TrainedAgent:
        """The agent as it now is; called once, at the end."""
        return TrainedAgent(
            self.id,
            self.policy,
            self.timesteps,
            self.updates,
            self.first_reward,
            dict(self.job.settings),
            None,
            dict(self.losses),
            self.weights(),
            self.spent,
        )


_COUNTERS = "counters"
_COUNTED = ("timesteps", "updates", "first_reward", "losses", "taken")


def _checked(counters: Mapping[str, Any]) -> dict[str, Any]:
    """The counters of a checkpoint, in their types."""
    first = counters["first_reward"]
    return {
        "timesteps": int(counters["timesteps"]),
        "updates": int(counters["updates"]),
        "first_reward": None if first is None else int(first),
        "losses": {name: float(loss) for name, loss in counters["losses"].items()},
        "taken": {name: float(value) for name, value in counters["taken"].items()},
    }


class Run:
    """One job under way: its learner, whom it has told, and how it ended.

    Args:
        job: The job.
        make: Makes its learner, untrained.

    Attributes:
        learner: None if it could not be made.
        failure: None, or what went wrong.
    """

    def __init__(self, job: Job, make: Callable[[Job], Agent]) -> None:
        self.job, self.make = job, make
        # Environments of a foreign world cannot be put back where they stood.
        self._kept = None if isinstance(job.task.world, ForeignWorld) else job.checkpoint
        self.failure: Failure | None = None
        self.learner: Agent | None = None
        self._told, self._ended = -1, False
        with self.attempt():
            self.learner = self._begun()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A context in which an error is this job's failure, and nobody else's."""
        try:
            yield
        except Exception as error:
            learner, known = self.learner, isinstance(error, PowerseekError)
            self.failure = Failure(
                0 if learner is None else learner.timesteps,
                0 if learner is None else learner.updates,
                f"{type(error).__name__}: {error}",
                {} if learner is None else dict(learner.losses),
                error,
                "" if known else "".join(traceback.format_exception(error)),
            )

    def _begun(self) -> Agent:
        """The learner where its checkpoint stands, or untrained."""
        learner, kept = self.make(self.job), self._kept
        if kept is None or not learner.learns:
            return learner
        state = kept.read(self.job.card(learner.id))
        if state is None:
            return learner
        try:
            counters = _checked(state.pop(_COUNTERS))
            learner.load_state_dict(state)
            for name, value in counters.items():
                setattr(learner, name, value)
            kept.restored()
        except Exception as error:  # whatever a strange file does, zero is right
            kept.ignore(f"cannot be used ({type(error).__name__})")
            return self.make(self.job)
        self._told = learner.timesteps
        return learner

    @property
    def _learning(self) -> Agent | None:
        """Its learner; None if that does not learn, failed or was ended."""
        learner = self.learner
        if learner is None or not learner.learns or self._ended or self.failure is not None:
            return None
        return learner

    @property
    def going_on(self) -> bool:
        """True if another update is to come."""
        learner = self._learning
        return learner is not None and learner.timesteps < self.job.timesteps

    @property
    def news(self) -> Progress | None:
        """Its progress, if that has not been told yet."""
        learner = self._learning
        if learner is None or self._told == learner.timesteps:
            return None
        counted = learner.timesteps, learner.updates
        return Progress(*counted, learner.policy, learner.first_reward, learner.spent)

    def tell(self, progress: Progress, goes_on: bool) -> None:
        """Take down what the callback answered, and keep a checkpoint if one is due."""
        self._told, self._ended = progress.timesteps, not goes_on
        kept, learner = self._kept, self.learner
        if not goes_on or kept is None or not kept.due or learner is None:
            return
        with self.attempt():
            state = learner.state_dict()
            if state is not None:
                counters = {name: getattr(learner, name) for name in _COUNTED}
                kept.write(self.job.card(learner.id), {**state, _COUNTERS: counters})

    def update(self) -> None:
        """One update; if that fails, it is the last."""
        assert self.learner is not None
        with self.attempt():
            self.learner.update()

    def result(self) -> TrainedAgent | Failure:
        """The trained agent, or its failure."""
        if self.failure is None and self.learner is not None:
            with self.attempt():
                return self.learner.trained()
        assert self.failure is not None
        return self.failure


def train_in_turns(
    runs: Sequence[Run], update: Callable[[Sequence[Run]], None] | None = None
) -> list[TrainedAgent | Failure]:
    """Train jobs update by update, all of them side by side.

    Args:
        runs: The jobs, begun.
        update: Updates each of the runs it is given once; by default one after the other.

    Returns:
        What became of each, in order.
    """
    while training := _going_on(runs):
        if update is None:
            for run in training:
                run.update()
        else:
            update(training)
    return [run.result() for run in runs]


def _going_on(runs: Sequence[Run]) -> list[Run]:
    """Tell how far the jobs are; those for which another update is to come."""
    news = [(run, progress) for run in runs if (progress := run.news) is not None]
    answers = call_callbacks([(run.job, progress) for run, progress in news])
    for (run, progress), goes_on in zip(news, answers, strict=True):
        run.tell(progress, goes_on)
    return [run for run in runs if run.going_on]


def call_callbacks(news: Sequence[tuple[Job, Progress]]) -> list[bool]:
    """Call each job's callback, those of a `GroupCallback` at once; True for the jobs that go on.

    Whatever a callback raises is its caller's: it ends the training of all.
    """
    answers: list[bool | None] = [None] * len(news)
    groups: dict[type, list[tuple[int, GroupCallback]]] = {}
    for i, (job, progress) in enumerate(news):
        if isinstance(job.callback, GroupCallback):
            groups.setdefault(type(job.callback), []).append((i, job.callback))
        elif job.callback is not None:
            answers[i] = job.callback(progress)
    for members in groups.values():
        given = members[0][1].together([(callback, news[i][1]) for i, callback in members])
        for (i, _), answer in zip(members, given, strict=True):
            answers[i] = answer
    return [answer is not False for answer in answers]
