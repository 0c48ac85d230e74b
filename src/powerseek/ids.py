"""The gymnasium ids of the built-in worlds; kept apart so that registering loads no simulator."""

from __future__ import annotations

import gymnasium

IDS = {
    "powerseek/Commons-v0": "commons",
    "powerseek/Dropbox-v0": "dropbox",
    "powerseek/Endgame-v0": "endgame",
    "powerseek/Homestead-v0": "homestead",
    "powerseek/HomesteadPlane-v0": "homestead-plane",
    "powerseek/LeakyChess-v0": "leaky-chess",
    "powerseek/Minichess-v0": "minichess",
    "powerseek/OffSwitch-v0": "off-switch",
    "powerseek/Placebo-v0": "placebo",
    "powerseek/Powerless-v0": "powerless",
    "powerseek/Required-v0": "required",
    "powerseek/ShutdownDelay-v0": "shutdown-delay",
    "powerseek/ShutdownProbe-v0": "shutdown-probe",
    "powerseek/Star-v0": "star",
}
"""gymnasium ids and the world each stands for."""


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
