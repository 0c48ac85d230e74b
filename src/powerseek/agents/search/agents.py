"""Searching agents, by id. PyTorch is loaded when one is trained, not when it is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from powerseek.agents.base import Agent
from powerseek.agents.cohort.agents import CohortPPO
from powerseek.agents.job import Failure, Job, Settings, TrainedAgent
from powerseek.agents.saving import BESIDE, read_kept
from powerseek.agents.search.checks import check_play, check_task, check_trees
from powerseek.agents.search.policy import SearchPolicy
from powerseek.agents.settings import (
    ACTING,
    COHORT_SHARED,
    LEARNT,
    SEARCHED,
    complete,
    search_settings,
)
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.types import Policy


class Search(Agent):
    """Gumbel AlphaZero (Danihelka et al. 2022) over the world's rules: a net that search teaches.

    In training it acts by search; its network learns the policy that search improved, and what
    came of it. It is given the true rules, which others know from experience alone: the steps that
    it takes in its head are counted as model steps. Or it learns a model of the task from the steps
    that it takes in it, and searches that: ``model: tabular`` or ``network``.

    By default the bare network plays, ``acting: 0``, which is evaluated exactly and compared with
    any other network. ``acting: n`` makes n simulations at play, and changes no weight.
    """

    learns: ClassVar[bool] = True
    shared: ClassVar[tuple[str, ...] | None] = (*COHORT_SHARED, "simulations", *SEARCHED)
    aside: ClassVar[tuple[str, ...]] = (ACTING,)

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        learnt = given.get("model") in LEARNT
        check_task(task, learnt)
        if given.get("simulations") == 0:
            allowed = "at least 1: search teaches the network"
            hint = "Write acting: 0 for a network that plays without."
            raise InvalidInput("settings.simulations", 0, allowed, hint)
        chosen = search_settings(task.world.id, task.n_actions, given)
        trees = chosen["simulations"], chosen["n_envs"], "n_envs"
        check_trees(task, "simulations", *trees, learnt=learnt)
        if chosen[ACTING]:
            check_play(task, chosen[ACTING], learnt=learnt)
        return chosen

    @classmethod
    def train(cls, jobs: Sequence[Job]) -> list[TrainedAgent | Failure]:
        """See Agent.train: jobs that differ in nothing but how they play are trained once."""
        from powerseek.agents.search.learner import train_searchers

        return train_searchers(jobs)

    @classmethod
    def load_model(cls, path: Path, card: Mapping[str, Any], device: str) -> Policy:
        """See Agent.load_model: the bare network."""
        settings = card["settings"]
        network = {name: settings[name] for name in ("net", "activation")}
        policy: Any = CohortPPO.load_model(path, {**card, "settings": network}, device)
        arrays = read_kept(path, BESIDE)
        if arrays is not None:
            from powerseek.agents.search.learner import learnt_model

            sizes = len(card["observations"]), len(card["actions"])
            policy.learnt = learnt_model(*sizes, settings)
            policy.learnt.restore(arrays)
        found: Policy = policy
        return found

    @classmethod
    def in_task(cls, policy: Policy, task: Task | None, settings: Settings) -> Policy:
        """See Agent.in_task."""
        from powerseek.agents.search.play import with_search

        simulations = settings.get(ACTING, 0)
        if not simulations:
            return policy
        if task is None:
            allowed = "the task in which it acts: it searches that"
            raise InvalidInput("task", None, allowed, "Write load_agent(path, task).")
        return with_search(policy, task, simulations, **{name: settings[name] for name in SEARCHED})


class Puct(Agent):
    """PUCT (Silver et al. 2018) over the world's rules, without a network: it does not learn.

    Nothing is known but rules and reward: all legal actions are as likely, and what lies beyond
    the tree is worth 0. Sampled, it acts by visits; greedy, as it visited most.

    Its setting: ``simulations``, in each situation.
    """

    @classmethod
    def settings(cls, task: Task, given: Settings) -> dict[str, Any]:
        """See Agent.settings."""
        check_task(task)
        chosen = complete({"simulations": 64}, given)
        check_play(task, chosen["simulations"], "simulations")
        return chosen

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.policy = SearchPolicy(job.task, job.settings["simulations"])
