"""Measuring policies: one, or many side by side, each as it would be measured alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from powerseek.agents import probe_task, rollout, rollouts, without_interruption
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import (
    ModelError,
    Optimum,
    Oracle,
    evaluate_agent,
    model_error,
    policy_divergence,
)
from powerseek.exact.measures.attribution import PRICES, outcome_and_attribution
from powerseek.exact.measures.reliance import success_without_power
from powerseek.exact.overseer import with_overseer
from powerseek.exact.solvers.agent import FORGOTTEN
from powerseek.experiments.results.schema import ABSENT_ROW
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.sweep.oracles import holdings_scale, optimum_of, oracle_of
from powerseek.metrics import Context, Expected, expect, measure, metric_of
from powerseek.metrics.expected import PRICE
from powerseek.registry import make_world
from powerseek.types import Measurement, Policy, Trajectories

EVALUATIONS = {"sampled": False, "greedy": True}
EXACT = {"exact": False, "exact-greedy": True}
"""Evaluations without episodes, where the world was enumerated."""
FORGOTTEN_ON_THE_WAY = 1e-5
"""Probability of an episode that exact curves follow no further: a quarter of the work.

Success is off by no more, acquisition by no more than this times what can be acquired.
"""
AT_ONCE = 8192
"""Maximum number of episodes of which whole trajectories are held at a time."""


class Inexact(Exception):
    """A policy cannot be evaluated exactly; the message says why, in a sentence."""


@dataclass(frozen=True)
class Evaluator:
    """Measures policies in one configuration of a world.

    Attributes:
        task: What is acted in, hazard as deployed.
        oracle: Exact facts of the configuration, if there are any.
        arm: The exact optimum of what the policy was trained on, likewise.
        seed: Of every evaluation; each `purpose` has chance of its own.
    """

    task: Task
    oracle: Oracle | None
    arm: Optimum | None
    seed: int

    def measure(
        self,
        policy: Policy,
        episodes: int,
        *purpose: int,
        greedy: bool = False,
        names: Iterable[str] | None = None,
    ) -> list[Measurement]:
        """All measures (or those named) of `policy`, from `episodes` in each situation."""
        return measure_each([Asked(self, policy, purpose)], episodes, greedy, names)[0]

    def rows(
        self, policy: Policy, episodes: int, *purpose: int, about: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """A row for every evaluation and measure, each with what is said `about` them."""
        return rows_each([Asked(self, policy, purpose)], episodes, [about])[0]

    def expected(
        self,
        policy: Policy,
        greedy: bool,
        whole: bool = True,
        followed: Mapping[str, Sequence[float]] = {},  # nobody changes it
        diverged: bool = True,
    ) -> Expected:
        """Exact expectations of `policy`.

        Args:
            policy: The policy.
            greedy: True if it takes the likeliest action.
            whole: False for what is followed while it trains: attributed at the default price
                alone, and without what takes a walk of its own (competence where there is a
                hazard, reliance).
            followed: As `Expected` takes it.
            diverged: False to leave out the divergence from the prior, a walk of its own.

        Raises:
            Inexact: There are none, and why.
        """
        world = self.task.world
        if self.oracle is None:
            raise Inexact(world.not_enumerable or "the world has too many states to enumerate")
        if reason := getattr(policy, "inexact", ""):
            raise Inexact(reason)
        prices: tuple[float, ...] = ()
        if world.role("resource"):
            prices = PRICES if whole else (PRICE,)
        without = divergence = nan
        prior = getattr(policy, "prior", None)
        try:
            outcome, found = outcome_and_attribution(
                self.task,
                policy,
                prices=prices,
                greedy=greedy,
                forgotten=FORGOTTEN if whole else FORGOTTEN_ON_THE_WAY,
            )
            competence = outcome.success
            if world.calm and not whole:
                competence = nan
            elif world.calm:
                calm = without_interruption(self.task)
                competence = evaluate_agent(calm, policy, greedy=greedy).success
            if whole:
                without = success_without_power(self.task, policy, greedy=greedy)
            if diverged and prior is not None:
                ways = FORGOTTEN if whole else FORGOTTEN_ON_THE_WAY
                divergence = policy_divergence(
                    self.task, policy, prior, greedy=greedy, forgotten=ways
                )
        except InvalidInput as error:
            raise Inexact(str(error)) from error
        oracle = self.oracle if self.oracle.injective else None
        by_price = dict(zip(prices, found, strict=True))
        known = world, outcome, competence, oracle, self.arm, by_price, without, followed
        model = self._model_error(policy, greedy) if whole else None
        return Expected(*known, divergence if isfinite(divergence) else nan, model)

    def _model_error(self, policy: Policy, greedy: bool) -> ModelError | None:
        """The error of the model that was learnt with a policy; None where there is none."""
        learnt = getattr(policy, "learnt", None)
        if learnt is None:
            return None
        forgotten = FORGOTTEN_ON_THE_WAY
        try:
            return model_error(self.task, policy, learnt, greedy=greedy, forgotten=forgotten)
        except InvalidInput:  # its reward remembers what is not observed
            return None

    def diverged(self, policy: Policy) -> list[Measurement]:
        """The divergence of a policy from its prior alone; none where there is none, or not finite.

        The rest of an exact evaluation takes several times as long.
        """
        prior, inexact = getattr(policy, "prior", None), getattr(policy, "inexact", "")
        if self.oracle is None or prior is None or inexact:
            return []
        try:
            found = policy_divergence(self.task, policy, prior, forgotten=FORGOTTEN_ON_THE_WAY)
        except InvalidInput:  # the rows of the end say why
            return []
        known = metric_of("divergence")
        return [Measurement(known.id, found, unit=known.unit)] if isfinite(found) else []

    def exact_curves(self, policy: Policy, names: Iterable[str]) -> list[Measurement]:
        """Some metrics, exactly; none where there is no exact evaluation."""
        names = tuple(names)
        try:
            expected = self.expected(policy, False, whole=False, diverged="divergence" in names)
        except Inexact:  # the rows of the end say why
            return []
        return expect(expected, names)

    def roots(self, purpose: Sequence[int], count: int) -> list[int]:
        """So many seeds for `purpose` alone."""
        drawn = np.random.SeedSequence([self.seed, *purpose]).generate_state(count, np.uint32)
        return [int(root) for root in drawn]


def evaluator_of(cell: Cell, seed: int, out: Path, rewarded: bool = True) -> Evaluator:
    """Who measures agents of a cell that are trained at a seed, with all that is exactly known.

    Args:
        cell: The cell.
        seed: Of training: what is learnt of a reward is learnt at it.
        out: Results directory.
        rewarded: False where its reward means nothing, so that nobody asks for its optimum.
    """
    facts = oracle_of(cell, out)
    task = cell.task(make_world(cell.world, **cell.params), holdings_scale(cell, facts))
    arm = optimum_of(cell, out) if rewarded else None
    return Evaluator(with_overseer(task, seed=seed), facts, arm, seed)


class Asked(NamedTuple):
    """A policy to be measured.

    Attributes:
        evaluator: By whom.
        policy: What acts.
        purpose: What for: no two share chance.
        followed: Its exact values at earlier evaluations late in training, by metric.
        spent: What its training has taken, by the names of `powerseek.agents.LEDGER`.
    """

    evaluator: Evaluator
    policy: Policy
    purpose: tuple[int, ...]
    followed: Mapping[str, Sequence[float]] = {}  # nobody changes it
    spent: Mapping[str, float] = {}  # likewise


def measure_each(
    asked: Sequence[Asked],
    episodes: int,
    greedy: bool = False,
    names: Iterable[str] | None = None,
) -> list[list[Measurement]]:
    """Measure each, number for number as `Evaluator.measure` does.

    Args:
        asked: What is measured.
        episodes: Of each, as deployed; as many without interruption, and as many in the probe.
        greedy: Whether the likeliest action is taken instead of a drawn one.
        names: Of the measures; all by default.
    """
    names = None if names is None else tuple(names)
    size = max(1, AT_ONCE // episodes)
    parts = (asked[i : i + size] for i in range(0, len(asked), size))
    return [one for part in parts for one in _measured(part, episodes, greedy, names)]


def _measured(
    asked: Sequence[Asked], episodes: int, greedy: bool, names: tuple[str, ...] | None
) -> list[list[Measurement]]:
    seeds = [one.evaluator.roots(one.purpose, 4) for one in asked]
    tasks = [one.evaluator.task for one in asked]
    policies = [one.policy for one in asked]
    as_deployed = rollouts(policies, tasks, episodes, [s[0] for s in seeds], greedy=greedy)
    able = [i for i, task in enumerate(tasks) if task.world.calm]
    uninterrupted = rollouts(
        [policies[i] for i in able],
        [without_interruption(tasks[i]) for i in able],
        episodes,
        [seeds[i][1] for i in able],
        greedy=greedy,
    )
    others = dict(zip(able, uninterrupted, strict=True))
    return [
        measure(
            Context(
                as_deployed[i],
                tasks[i].world,
                np.random.default_rng(seeds[i][2]),
                others.get(i),
                one.evaluator.oracle,
                one.evaluator.arm,
                probe=_in_the_probe(one.policy, tasks[i], episodes, seeds[i][3], greedy),
                spent=one.spent,
            ),
            names,
        )
        for i, one in enumerate(asked)
    ]


def _in_the_probe(
    policy: Policy, task: Task, episodes: int, seed: int, greedy: bool
) -> Trajectories | None:
    """Its episodes in the probe; None where there is no probe, or the policy is lost there."""
    if not task.world.probe:
        return None
    try:
        return rollout(policy, probe_task(task), episodes, seed, greedy=greedy)
    except InvalidInput:  # an exact policy knows the states of its own setting only
        return None


def rows_each(
    asked: Sequence[Asked],
    episodes: int,
    abouts: Sequence[Mapping[str, Any]],
    exactly: bool = True,
) -> list[list[dict[str, Any]]]:
    """The rows of each, as `Evaluator.rows` gives them.

    Args:
        asked: What is measured.
        episodes: Of each, as deployed; as many without interruption, and as many in the probe.
        abouts: What is said of each.
        exactly: True to evaluate each exactly besides, where its world is enumerated.
    """
    rows: list[list[dict[str, Any]]] = [[] for _ in asked]
    for i, (evaluation, greedy) in enumerate(EVALUATIONS.items()):
        again = [one._replace(purpose=(*one.purpose, i)) for one in asked]
        measured = measure_each(again, episodes, greedy)
        for each, about, own in zip(measured, abouts, rows, strict=True):
            for one in each:
                own.append(_row(about, evaluation, one))
    for each_asked, about, own in zip(asked, abouts, rows, strict=True):
        if exactly:
            own += _exact_rows(each_asked, about)
    return rows


def _exact_rows(asked: Asked, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The exact rows of one; where there are none, the one that says why."""
    evaluator, policy, followed = asked.evaluator, asked.policy, asked.followed
    rows = []
    try:
        for evaluation, greedy in EXACT.items():
            past = {} if greedy else followed
            expected = evaluator.expected(policy, greedy, followed=past)
            rows += [_row(about, evaluation, found) for found in expect(expected)]
    except Inexact as error:
        nothing = Measurement(ABSENT_ROW["metric"], nan, unit=str(error))
        return [_row(about, ABSENT_ROW["evaluation"], nothing)]
    return rows


def _row(about: Mapping[str, Any], evaluation: str, found: Measurement) -> dict[str, Any]:
    values = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
    named = {"evaluation": evaluation, "metric": found.name, "unit": found.unit}
    return {**about, **named, **values}
