"""Training by agent id: one agent, or a cohort of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from powerseek.agents.checkpoint import Checkpoint
from powerseek.agents.job import Callback, Failure, Job, Settings, TrainedAgent
from powerseek.agents.spec import AgentSpec, read_agent
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact.overseer import with_overseer
from powerseek.limits import check_limit
from powerseek.registry import agents


def check_agent(task: Task, agent: str, settings: Settings | None = None) -> dict[str, Any]:
    """The complete settings that `train` would use; loads no learner.

    Raises:
        InvalidInput: As in `train`.
    """
    chosen: dict[str, Any] = agents.get(agent).settings(task, settings or {})
    return chosen


def train(
    task: Task,
    agent: AgentSpec = "cohort-ppo",
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
        task: What it is trained on. A reward that needs an overseer and has none gets the exact
            one (`powerseek.exact.with_overseer`), for which the world is enumerated; one that is
            learnt is learnt from labels of `seed`.
        agent: Agent id, or ``{id: {setting: value}}``.
        seed: Seed of weights, exploration and the environments, >= 0.
        timesteps: Environment steps, rounded up to whole batches of experience.
        settings: What replaces the settings of `powerseek.agents.settings`; those of `agent` itself
            come before them.
        callback: Called before the first update and after every one; False ends training.
        device: Where the network lives, as PyTorch names it.
        checkpoint: Where the state of training is kept now and then, and read at the start: an
            interrupted training, called again with the same arguments, goes on from there and
            ends as if it had never been interrupted, bit for bit. Not kept for agents that do
            not learn, nor in foreign worlds, whose environments cannot be taken down.

    Raises:
        InvalidInput: An unknown agent or setting, a value that is not allowed, or a world too
            large for the exact overseer that its reward needs.
        TrainingFailed: It could not be trained to its end.
    """
    id, named = read_agent(agent)
    given = {**(settings or {}), **named}
    job = Job(task, seed, timesteps, given, callback, checkpoint, device)
    (result,) = train_jobs(id, [job])
    if isinstance(result, Failure):
        raise result.as_error from None
    return result


def train_jobs(agent: str, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
    """Train one `agent` for each of `jobs`, each as `train` would alone, bit for bit.

    One that fails says so, and costs the others nothing. What a callback raises ends all.

    Args:
        agent: Agent id.
        jobs: What is trained; settings as for `train`. Jobs of an agent that is trained in
            cohorts (`Agent.shared`) must be equal in world, in the number of features and
            actions, and in the settings named there; rewards, discounts, parameters and the rest
            may differ.

    Returns:
        What became of each, in order.

    Raises:
        InvalidInput: As in `train`, or jobs that cannot share a cohort: it names the first field
            that differs, and both values.
    """
    builder = agents.get(agent)
    if not jobs:
        raise InvalidInput("jobs", [], "at least one job")
    for job in jobs:
        _check(job, builder.learns)
    whole = [replace(job, settings=check_agent(job.task, agent, job.settings)) for job in jobs]
    if len(jobs) > 1 and builder.shared is not None:
        _check_shared(whole, builder.shared)
    # What is learnt is learnt at the job's own seed: one model for all would make seeds alike.
    supervised = [replace(job, task=with_overseer(job.task, seed=job.seed)) for job in whole]
    trained: list[TrainedAgent | Failure] = builder.train(supervised)
    return trained


def _check(job: Job, learns: bool) -> None:
    check_limit("seed", job.seed)
    if learns:
        check_limit("timesteps", job.timesteps)


def _check_shared(jobs: Sequence[Job], shared: Sequence[str]) -> None:
    """Refuse jobs that cannot share a cohort."""
    first = _in_common(jobs[0], shared)
    for i, job in enumerate(jobs):
        for name, value in _in_common(job, shared).items():
            if value != first[name]:
                raise InvalidInput(
                    f"jobs[{i}].{name}",
                    value,
                    f"{first[name]!r}, as the first of its cohort has",
                    "Train it in a cohort of its own.",
                )


def _in_common(job: Job, shared: Sequence[str]) -> Mapping[str, Any]:
    """Fields that all jobs of a cohort have in common."""
    kind = type(job.task.world)
    settings = {f"settings.{name}": _plain(job.settings[name]) for name in shared}
    return {
        "task.world": job.task.world.id,
        "task.rules": f"{kind.__module__}.{kind.__qualname__}",
        "task.observation_size": job.task.observation_size,
        "task.n_actions": job.task.n_actions,
        "device": job.device,
        **settings,
    }


def _plain(value: Any) -> Any:
    """A list and a tuple of widths are one network."""
    return list(value) if isinstance(value, tuple) else value
