"""The gymnasium ids of the built-in worlds; kept apart so that registering loads no simulator."""

from __future__ import annotations

import gymnasium

from powerseek.registry import worlds

IDS = {f"powerseek/{id.title().replace('-', '')}-v0": id for id in worlds.builtin}
"""gymnasium ids and the world each stands for: ``powerseek/HomesteadPlane-v0``."""


def register_ids() -> None:
    """Register `IDS` with gymnasium; nothing is imported until one is made."""
    for id, world in IDS.items():
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="powerseek.envs.adapters.gym:WorldEnv",
                vector_entry_point="powerseek.envs.adapters.gym:WorldVectorEnv",
                kwargs={"world": world},
            )
