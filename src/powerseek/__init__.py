"""powerseek: do sparse reward, long horizons or open worlds make trained agents seek power?

The public API. Rooms and names are imported when first used, so that ``import powerseek`` is
quick; it registers the gymnasium ids (``powerseek/Homestead-v0`` and the others).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from powerseek.ids import register_ids
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

__version__ = "0.1.0"

register_ids()

_ROOMS = ("agents", "envs", "exact", "experiments", "metrics")
_NAMES = dict.fromkeys(("Fact", "Param", "VecWorld", "World"), "envs")

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


def __getattr__(name: str) -> Any:
    """Import a room, or a name that lives in one, when first used."""
    if name in _ROOMS:
        return import_module(f"powerseek.{name}")
    if name in _NAMES:
        return getattr(import_module(f"powerseek.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'powerseek' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
