"""The context of a metric: episodes of one policy in one world, and exact facts of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import numpy as np

from powerseek.envs.world import World
from powerseek.errors import InvalidInput
from powerseek.exact import Frontier, Optimum, Oracle
from powerseek.metrics.intervals import percentile_interval, resample_weights, wilson
from powerseek.types import Bools, Floats, Measurement, Trajectories

PAST_THE_END = 4.0
"""Standard errors by which measured success may lie above what is attainable at all."""

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Context:
    """One policy in one configuration of a world.

    Attributes:
        as_deployed: N episodes, hazard on.
        world: The world of these episodes.
        generator: For bootstrap resampling; every metric shares the same resamples, so that
            differences between metrics of one context are jointly bootstrapped.
        without_interruption: Episodes with the hazard off; None where they were not run.
        oracle: Exact facts of the configuration; None gives no rows for what needs it.
        optimum: The exact optimum of the reward function that the policy was trained on.
        resamples: Bootstrap resamples.
        probe: Episodes in the world's probe; None where it has none, or they were not run.
        spent: What its training took, by name (`powerseek.agents.LEDGER`); empty where not known.

    Raises:
        InvalidInput: Episodes or oracle of another world, or of other parameters.
    """

    as_deployed: Trajectories
    world: World
    generator: np.random.Generator
    without_interruption: Trajectories | None = None
    oracle: Oracle | None = None
    optimum: Optimum | None = None
    resamples: int = 1000
    probe: Trajectories | None = None
    spent: Mapping[str, float] = field(default_factory=dict)
    _streams: list[np.random.Generator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, episodes, world in (
            ("as_deployed", self.as_deployed, self.world),
            ("without_interruption", self.without_interruption, self.world.without_interruption()),
            ("probe", self.probe, self.world.probed()),
        ):
            if episodes is not None and not _are_of(episodes, world):
                raise InvalidInput(name, f"{episodes.world} {episodes.params}", f"of {world}")
        if self.oracle is not None and not _knows(self.oracle, self.world):
            given = f"{self.oracle.world} {self.oracle.params}"
            raise InvalidInput("oracle", given, f"the oracle of {self.world}")
        object.__setattr__(self, "_streams", self.generator.spawn(2))

    @property
    def n(self) -> int:
        """Number of episodes as deployed."""
        return len(self.as_deployed.lengths)

    @cached_property
    def weights(self) -> Floats:
        """[resamples, N] weights of episodes in each bootstrap resample; rows sum to 1."""
        return resample_weights(self.n, self.resamples, self._streams[0])

    @cached_property
    def totals(self) -> Floats:
        """[N, F] sum of every fact over the steps of an episode (meaningful for flows)."""
        totals: Floats = self.as_deployed.facts[:, 1:].sum(axis=1)
        return totals

    @cached_property
    def succeeded(self) -> Floats:
        """[N] 1 where an episode ended in success."""
        return (self.as_deployed.last("success") > 0).astype(np.float64)

    @property
    def success(self) -> float:
        """Fraction of episodes as deployed that ended in success."""
        return float(self.succeeded.mean())

    @cached_property
    def acquired(self) -> Floats | None:
        """[N] acquisition in units: flows with role ``resource``; None if there are none."""
        return self.flow("resource")

    def flow(self, role: str, where: Bools | None = None) -> Floats | None:
        """[N] sum of flows with `role`, weighted, over columns `where` [F]; None if none."""
        weights = self.world.weights(role)
        if where is not None:
            weights = weights * where
        if not self.world.role(role) or (where is not None and not weights.any()):
            return None
        return self.totals @ weights

    def columns(self, role: str) -> Bools:
        """[F] which columns have `role` (and exist at these parameters)."""
        columns = np.zeros(len(self.world.fact_names), np.bool_)
        columns[[column for column, _ in self.world.role(role)]] = True
        return columns

    @property
    def exact(self) -> Oracle | None:
        """The oracle, if it sees no more than the agent does."""
        return self.oracle if self.oracle is not None and self.oracle.injective else None

    @cached_property
    def frontier(self) -> Frontier | None:
        """The need frontier; None without an oracle or without anything to acquire."""
        exact = self.exact
        return None if exact is None or self.acquired is None else exact.need

    def attainable(self, success: Floats) -> Floats:
        """Success, at most what is attainable at all.

        No policy succeeds more often than the frontier's end; a measured fraction may, by sampling
        error, and then the end is its best estimate. nan where the fraction as deployed lies above
        by more than `PAST_THE_END` standard errors: then the frontier is not that of this world.
        """
        end = 1.0 if self.frontier is None else self.frontier.max_success
        lower = wilson(self.success * self.n, self.n, PAST_THE_END)[0]
        return np.minimum(success, end if lower <= end + _ROUNDING else nan)

    @cached_property
    def matched(self) -> float:
        """The success at which exact results are read: `attainable` of the fraction as deployed."""
        return float(self.attainable(np.array([self.success]))[0])

    @cached_property
    def need(self) -> tuple[float, float] | None:
        """Bounds of minimum acquisition at the policy's success, in units."""
        return None if self.frontier is None else self.frontier.at(self.matched)

    @cached_property
    def excess(self) -> tuple[float, Floats] | None:
        """Acquisition beyond need at the policy's success, and [resamples] of it, in units."""
        if self.need is None or self.frontier is None or self.acquired is None:
            return None
        low, high = self.frontier.at(self.attainable(self.weights @ self.succeeded))
        value = float(self.acquired.mean()) - sum(self.need) / 2
        return value, self.weights @ self.acquired - (low + high) / 2

    def mean(self, name: str, values: Floats | None, unit: str) -> list[Measurement]:
        """The mean of `values` [N] over episodes as deployed, with its bootstrap interval."""
        if values is None:
            return []
        low, high = percentile_interval(self.weights @ values)
        return [Measurement(name, float(values.mean()), low, high, self.n, unit)]


def _are_of(episodes: Trajectories, world: World) -> bool:
    """True if they are of this configuration; episodes that carry no parameters may be."""
    params = dict(episodes.params)
    same = episodes.world == world.id and episodes.fact_names == world.fact_names
    return same and params in ({}, world.params._asdict())


def _knows(oracle: Oracle, world: World) -> bool:
    same: bool = json.loads(oracle.params) == world.params._asdict()
    return same and oracle.world == world.id


def proportion(name: str, happened: Bools) -> list[Measurement]:
    """The fraction of True in `happened` [N], with its Wilson interval."""
    n = len(happened)
    low, high = wilson(float(happened.sum()), n)
    return [Measurement(name, float(happened.mean()), low, high, n, "share")]
