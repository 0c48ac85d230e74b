"""powerseek: do sparse reward, long horizons or open worlds make trained agents seek power?

The public API. Rooms and names are imported when first used, so that ``import powerseek`` is
quick; it registers the gymnasium ids (``powerseek/Homestead-v0`` and the others).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from powerseek.cache import settle_caches
from powerseek.ids import register_ids
from powerseek.lazy import lazily
from powerseek.registry import (
    list_agents,
    list_metrics,
    list_rewards,
    list_worlds,
    make_world,
    register_agent,
    register_metric,
    register_reward,
    register_world,
)
from powerseek.types import Measurement, Policy, Trajectories

if TYPE_CHECKING:
    from powerseek import agents, envs, exact, experiments, metrics
    from powerseek.envs import Fact, Param, VecWorld, World
    from powerseek.experiments.single import evaluate_policy

__version__ = "0.1.0"

settle_caches()
register_ids()

__all__ = [
    "Fact",
    "Measurement",
    "Param",
    "Policy",
    "Trajectories",
    "VecWorld",
    "World",
    "agents",
    "envs",
    "evaluate_policy",
    "exact",
    "experiments",
    "list_agents",
    "list_metrics",
    "list_rewards",
    "list_worlds",
    "make_world",
    "metrics",
    "register_agent",
    "register_metric",
    "register_reward",
    "register_world",
]

_ROOMS = ("agents", "envs", "exact", "experiments", "metrics")
__getattr__, __dir__ = lazily(
    __name__,
    __all__,
    {room: f"powerseek.{room}" for room in _ROOMS}
    | {"evaluate_policy": "powerseek.experiments.single"}
    | dict.fromkeys(("Fact", "Param", "VecWorld", "World"), "powerseek.envs"),
)
