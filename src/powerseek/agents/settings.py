"""Hyperparameters of the learners, one set a world, the same for every arm.

How they were chosen: by the competence (success with the hazard off, actions drawn) that
``maskable-ppo`` reached under ``dense``, ``{every: 8}``, ``{every: cap}`` and ``terminal`` within
120,000 (`homestead`, 32 steps) or 150,000 steps (`endgame`), and by the time that took, on seeds
10,001 and 10,002, which no study uses. No measure of power entered. About a dozen combinations
were tried of 64 or 128 environments, 16 to 64 steps between updates, minibatches of 256 to 1,024,
learning rates of .001 to .003, entropy bonuses of .005 to .03, lambda of .9 to .97 and networks
of 64 or 128 units. Seeds 100-102 and 200-202 were used to choose homestead's own defaults.

`off-switch`: likewise, under ``own`` and ``{every: cap, of: own}`` at gamma .8 to 1 within 150,000
steps, on seeds 10,000 to 10,002; seven combinations were tried.

`minichess` (Gardner, random opponent): by the success that ``cohort-ppo``, the algorithm of
``maskable-ppo``, reached under ``dense`` on seed 10,001; entropy bonuses of .005 and .02 were tried
with networks of 128 units.

Reached at those settings: `homestead` .92-.98, `endgame` (4 x 4, rook) .95-.99, `minichess` .91
within 500,000 steps and .97 within 1,200,000.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from powerseek.errors import InvalidInput

DEFAULT: dict[str, Any] = {
    "n_envs": 128,
    "n_steps": 32,
    "batch_size": 1024,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "final_learning_rate": 0.0,
    "ent_coef": 0.02,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "net": [64, 64],
    "activation": "tanh",
}
"""Settings of a world that has none of its own, and what they are called.

n_envs: environments. n_steps: steps each takes between updates. batch_size: transitions
a gradient step; must divide n_envs x n_steps. n_epochs: passes over them. learning_rate falls
linearly to final_learning_rate. net: widths of the hidden layers, for policy and value apart.
activation: tanh or relu. The others are those of Stable-Baselines3's PPO.
"""

WORLDS: dict[str, dict[str, Any]] = {
    "endgame": {"gae_lambda": 0.9, "net": [128, 128]},
    "homestead": {"gae_lambda": 0.97, "ent_coef": 0.005},
    "minichess": {"ent_coef": 0.005, "net": [128, 128]},
    "off-switch": {"n_envs": 32, "n_steps": 64, "batch_size": 512, "gae_lambda": 0.98},
}

COHORT_SHARES = ("n_envs", "n_steps", "batch_size", "n_epochs", "net", "activation")
"""Settings that all agents of a cohort have in common."""

ACTIVATIONS = ("tanh", "relu")
_WHOLE = ("n_envs", "n_steps", "batch_size", "n_epochs")
_SHARES = ("gae_lambda",)
_POSITIVE = ("learning_rate", "clip_range", "max_grad_norm")


def settings_for(world: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of the learners in `world`, with what is `given` in their place.

    Raises:
        InvalidInput: An unknown setting, or a value that is not allowed.
    """
    given = given or {}
    for name, value in given.items():
        _check(name, value)
    chosen = {**DEFAULT, **WORLDS.get(world, {}), **given}
    size = chosen["n_envs"] * chosen["n_steps"]
    if size % chosen["batch_size"]:
        raise InvalidInput(
            "settings.batch_size",
            chosen["batch_size"],
            f"a divisor of n_envs x n_steps = {size}",
            f"Write batch_size: {math.gcd(size, chosen['batch_size'])}.",
        )
    return chosen


def _check(name: str, value: Any) -> None:
    field = f"settings.{name}"
    if name not in DEFAULT:
        raise InvalidInput("settings", name, ", ".join(sorted(DEFAULT)))
    if name == "activation":
        if value not in ACTIVATIONS:
            raise InvalidInput(field, value, " or ".join(ACTIVATIONS))
    elif name == "net":
        widths = value if isinstance(value, list | tuple) else [0]
        if not all(_whole(width) for width in widths):
            raise InvalidInput(field, value, "a list of whole numbers >= 1", "Write [64, 64].")
    elif name in _WHOLE:
        least = 2 if name == "batch_size" else 1
        if not _whole(value, least):
            raise InvalidInput(field, value, f"a whole number >= {least}")
    else:
        _check_number(name, value)


def _check_number(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise InvalidInput(f"settings.{name}", value, "a number")
    if name in _SHARES and not 0 <= value <= 1:
        raise InvalidInput(f"settings.{name}", value, "0 to 1")
    if value < 0 or (name in _POSITIVE and value == 0):
        least = "above 0" if name in _POSITIVE else ">= 0"
        raise InvalidInput(f"settings.{name}", value, f"a number {least}")


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
