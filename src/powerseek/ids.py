"""Ids of the built-in worlds, and the gymnasium ids of all worlds.

It imports gymnasium alone, no simulator and nothing of powerseek: `powerseek_gymnasium` runs this
file where powerseek itself is not imported.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import gymnasium

GROUP = "powerseek.worlds"
"""Entry-point group of plugins that offer worlds."""

WORLDS = {
    "commons": "powerseek.envs.worlds.commons.world:Commons",
    "dropbox": "powerseek.envs.worlds.dropbox.world:Dropbox",
    "endgame": "powerseek.envs.worlds.endgame.world:Endgame",
    "homestead": "powerseek.envs.worlds.homestead.world:Homestead",
    "homestead-plane": "powerseek.envs.worlds.homestead_plane.world:HomesteadPlane",
    "keys-and-chests": "powerseek.envs.worlds.keys_and_chests:KeysAndChests",
    "leaky-chess": "powerseek.envs.worlds.leaky_chess.world:LeakyChess",
    "minichess": "powerseek.envs.worlds.minichess.world:Minichess",
    "off-switch": "powerseek.envs.worlds.off_switch:OffSwitch",
    "placebo": "powerseek.envs.worlds.controls:Placebo",
    "powerless": "powerseek.envs.worlds.controls:Powerless",
    "required": "powerseek.envs.worlds.required:Required",
    "shields": "powerseek.envs.worlds.shields:Shields",
    "shutdown-delay": "powerseek.envs.worlds.shutdown_delay.world:ShutdownDelay",
    "shutdown-probe": "powerseek.envs.worlds.shutdown_probe:ShutdownProbe",
    "star": "powerseek.envs.worlds.star:Star",
    "strip": "powerseek.envs.worlds.strip:Strip",
    "turn": "powerseek.envs.worlds.turn.world:Turn",
}
"""Built-in worlds and where each is, written as entry points are: ``module:Name``."""


def gymnasium_id(world: str) -> str:
    """The gymnasium id of a world: ``lab.deep-sea`` is ``lab/DeepSea-v0``.

    What stands before the first dot is the namespace; without a dot it is ``powerseek``.
    """
    first, dot, rest = world.partition(".")
    namespace, name = (first, rest) if dot else ("powerseek", first)
    return f"{_letters(namespace)}/{_letters(name.title())}-v0"


def _letters(text: str) -> str:
    """Text without what cannot stand in a gymnasium id, or would part it."""
    return re.sub(r"\W", "", text)


def register_id(world: str) -> bool:
    """Register a world with gymnasium; nothing is imported until it is made.

    Returns:
        False where another world has its gymnasium id.
    """
    id = gymnasium_id(world)
    known = gymnasium.registry.get(id)
    if known is None:
        gymnasium.register(
            id,
            entry_point="powerseek.envs.adapters.gym:WorldEnv",
            vector_entry_point="powerseek.envs.adapters.gym:WorldVectorEnv",
            kwargs={"world": world},
        )
    return known is None or known.kwargs.get("world") == world


def register_ids() -> None:
    """Register all worlds that are known without importing any: ours, and those of plugins."""
    for world in (*WORLDS, *(point.name for point in entry_points(group=GROUP))):
        register_id(world)
