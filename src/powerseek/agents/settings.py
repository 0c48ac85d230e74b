"""Hyperparameters of the learners, one set a world, the same for every reward.

How they were chosen: by the competence (success with the hazard off, actions drawn) that
``maskable-ppo`` reached under ``dense``, ``{every: 8}``, ``{every: cap}`` and ``terminal`` within
120,000 (`homestead`, 32 steps) or 150,000 steps (`endgame`), and by the time that took, on seeds
10,001 and 10,002, which no study uses. No measure of power entered. About a dozen combinations
were tried of 64 or 128 environments, 16 to 64 steps between updates, minibatches of 256 to 1,024,
learning rates of .001 to .003, entropy bonuses of .005 to .03, lambda of .9 to .97 and networks
of 64 or 128 units. Constant learning rates of .0005, .001, .0015 and .003 were held against one
that falls from .003 to 0, by the exact competence of ``cohort-ppo`` at openness 0 to 2 under
``dense``, ``{every: cap}`` and ``terminal`` on seeds 10,001 to 10,003: .003 was the highest
in 13 of the 15 (mean .975; .965 at .0015, .937 falling) and never below .94. Seeds 100-102 and
200-202 were used to choose homestead's own defaults.

`off-switch`: likewise, under ``own`` and ``{every: cap, of: own}`` at gamma .8 to 1 within 150,000
steps, on seeds 10,000 to 10,002; seven combinations were tried. Constant rates of .0005 to .003 at
lambda .98 and 1, by exact competence after 200,000 steps on seeds 10,001 to 10,004: at .001 every
agent solves it; at .003 some lose it again, at .0005 some are too slow.

`minichess` (Gardner, random opponent): by the success that ``cohort-ppo``, the algorithm of
``maskable-ppo``, reached under ``dense`` on seed 10,001; entropy bonuses of .005 and .02 were tried
with networks of 128 units.

Reached at those settings: `homestead` .92-.98, `endgame` (4 x 4, rook) .95-.99, `minichess` .91
within 500,000 steps and .97 within 1,200,000.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from powerseek.errors import InvalidInput

DEFAULT: dict[str, Any] = {
    "n_envs": 128,
    "n_steps": 32,
    "batch_size": 1024,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "final_learning_rate": None,
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
a gradient step; must divide n_envs x n_steps. n_epochs: passes over them. learning_rate goes
linearly to final_learning_rate, and is constant without one: a rate that falls to 0 freezes an
agent that still moves. net: widths of the hidden layers, for policy and value apart.
activation: tanh or relu. The others are those of Stable-Baselines3's PPO.
"""

WORLDS: dict[str, dict[str, Any]] = {
    "endgame": {"gae_lambda": 0.9, "net": [128, 128]},
    "homestead": {"gae_lambda": 0.97, "ent_coef": 0.005},
    "minichess": {"ent_coef": 0.005, "net": [128, 128]},
    "off-switch": {
        **{"n_envs": 32, "n_steps": 64, "batch_size": 512, "gae_lambda": 0.98},
        "learning_rate": 1e-3,
    },
}

COHORT_SHARED = ("n_envs", "n_steps", "batch_size", "n_epochs", "net", "activation")
"""Settings that all agents of a cohort have in common."""

PHASES = "phases"
"""The setting that says how an agent is trained, and nothing of what it is."""

ACTIVATIONS = ("tanh", "relu")
MAX_BUFFER = 2**24
"""Transitions between two updates, of all environments together, at most."""
_WHOLE = {
    "n_envs": (1, 2**16),
    "n_steps": (1, 2**16),
    "batch_size": (2, MAX_BUFFER),
    "n_epochs": (1, 10_000),
}
_WIDTHS, _MAX_LAYERS = (1, 4096), 16
_MAXIMUM = {"gae_lambda": 1.0}
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
    if chosen["final_learning_rate"] is None:
        chosen["final_learning_rate"] = chosen["learning_rate"]
    size, batch = chosen["n_envs"] * chosen["n_steps"], chosen["batch_size"]
    if not 2 <= size <= MAX_BUFFER:
        allowed = f"n_envs x n_steps of 2 to {MAX_BUFFER:,}, not {size:,}"
        raise InvalidInput("settings.n_steps", chosen["n_steps"], allowed)
    if size % batch:
        allowed = f"a divisor of n_envs x n_steps = {size}"
        shared = math.gcd(size, batch)
        hint = f"Write batch_size: {shared if shared > 1 else size}."
        raise InvalidInput("settings.batch_size", batch, allowed, hint)
    return chosen


def _check(name: str, value: Any) -> None:
    field = f"settings.{name}"
    if name not in DEFAULT:
        raise InvalidInput("settings", name, ", ".join(sorted(DEFAULT)))
    if name == "activation":
        if value not in ACTIVATIONS:
            raise InvalidInput(field, value, " or ".join(ACTIVATIONS))
    elif name == "net":
        listed = isinstance(value, list | tuple) and len(value) <= _MAX_LAYERS
        if not listed or not all(_whole(width, *_WIDTHS) for width in value):
            low, high = _WIDTHS
            allowed = f"a list of at most {_MAX_LAYERS} whole numbers, {low} to {high:,}"
            raise InvalidInput(field, value, allowed, "Write [64, 64].")
    elif name == "final_learning_rate" and value is None:
        return
    elif name in _WHOLE:
        low, high = _WHOLE[name]
        if not _whole(value, low, high):
            raise InvalidInput(field, value, f"a whole number, {low} to {high:,}")
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        positive, maximum = name in _POSITIVE, _MAXIMUM.get(name, sys.float_info.max)
        if not number or not 0 <= value <= maximum or (positive and value == 0):
            above = "above 0" if positive else ">= 0"
            upper = f" and at most {maximum:g}" if name in _MAXIMUM else ""
            raise InvalidInput(field, value, f"a number {above}{upper}")


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
