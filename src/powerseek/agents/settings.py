"""Hyperparameters of the learners: their names, what each may be, and those of PPO.

One set a world, the same for every reward. Those of the other algorithms, and how they were
chosen, stand in `powerseek.agents.sb3.families`.

How PPO's were chosen: by the competence (success with the hazard off, actions drawn) that
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
from dataclasses import dataclass
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

ACTING = "acting"
"""The setting that says how an agent plays, and nothing of how it is trained."""

SEARCHED = ("considered", "c_scale", "model")
"""Settings of a search, at play as in training."""

CONSIDERED = 8
"""Actions that a search considers at the root, where there are as many, if nobody says how many."""

SEARCH: dict[str, Any] = {
    "model": "rules",
    "simulations": 16,
    "acting": 0,
    "considered": None,
    "c_scale": 0.1,
    "n_envs": 128,
    "n_steps": 16,
    "batch_size": 512,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "final_learning_rate": None,
    "gae_lambda": 0.95,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
    "net": [64, 64],
    "activation": "tanh",
}
"""Settings of ``search``, whose networks and learning rate are those of the world.

Chosen on seed 10,001 by the competence of the bare network under ``terminal`` at openness 1: in
`endgame` c_scale of .1, .3 and 1 gave .98, .99 and .99 after 33,000 steps, in `homestead` .95, .83
and .75 after 100,000. `off-switch` under ``own``: at a learning rate of .003 what was learnt was
lost again after 40,000 steps, at its own .001 it was kept.
"""

MODELS = ("rules", "tabular", "network")
"""What ``search`` may think in: the task's own rules, or a model learnt from its own steps."""
LEARNT = MODELS[1:]
"""Those that are learnt."""

NETWORK_MODEL: dict[str, Any] = {
    "model_width": 128,
    "model_outcomes": 4,
    "model_batch_size": 256,
    "model_batches": 64,
    "model_learning_rate": 3e-3,
}
"""Settings of ``search`` that ``model: network`` has besides.

Chosen by the competence of the bare network in `homestead` at openness 0 under ``dense`` after
49,000 steps, on seeds 10,001 and 10,002: with 4 outcomes a learning rate of .003 gave .85 and .85,
.001 gave .74 and .67; 8 outcomes gave .81 and .86 at .003.
"""

COHORT_SHARED = ("n_envs", "n_steps", "batch_size", "n_epochs", "net", "activation")
"""Settings that all agents of a cohort have in common."""

PHASES = "phases"
"""The setting that says how an agent is trained, and nothing of what it is."""

ACTIVATIONS = ("tanh", "relu")
MAX_BUFFER = 2**24
"""Transitions that are held at once, of all environments together, at most."""


@dataclass(frozen=True)
class Whole:
    """A whole number, both ends allowed."""

    low: int
    high: int

    def allows(self, value: Any) -> bool:
        """True of one within the range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high

    def __str__(self) -> str:
        """In words."""
        return f"a whole number, {self.low} to {self.high:,}"


@dataclass(frozen=True)
class Number:
    """A finite number from 0 on, above 0, or with a sign."""

    positive: bool = False
    maximum: float = sys.float_info.max
    signed: bool = False

    def allows(self, value: Any) -> bool:
        """True of one within the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        least = -self.maximum if self.signed else 0
        return number and least <= value <= self.maximum and not (self.positive and value == 0)

    def __str__(self) -> str:
        """In words."""
        if self.signed:
            return "a finite number"
        least = "above 0" if self.positive else ">= 0"
        bounded = self.maximum < sys.float_info.max
        return f"a number {least}{f' and at most {self.maximum:g}' if bounded else ''}"


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """True of one of them."""
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        """In words."""
        return " or ".join(self.words)


@dataclass(frozen=True)
class Widths:
    """A list of so many whole numbers at most."""

    most: int
    width: Whole

    def allows(self, value: Any) -> bool:
        """True of such a list."""
        listed = isinstance(value, list | tuple) and len(value) <= self.most
        return listed and all(map(self.width.allows, value))

    def __str__(self) -> str:
        """In words."""
        numbers = f"{self.width.low} to {self.width.high:,}"
        return f"a list of at most {self.most} whole numbers, {numbers}"


_FRACTION, _POSITIVE = Number(maximum=1.0), Number(positive=True)
ALLOWED: Mapping[str, Whole | Number | OneOf | Widths] = {
    "n_envs": Whole(1, 2**16),
    "n_steps": Whole(1, 2**16),
    "batch_size": Whole(2, MAX_BUFFER),
    "n_epochs": Whole(1, 10_000),
    "learning_rate": _POSITIVE,
    "final_learning_rate": Number(),
    "ent_coef": Number(),
    "gae_lambda": _FRACTION,
    "clip_range": _POSITIVE,
    "vf_coef": Number(),
    "max_grad_norm": _POSITIVE,
    "net": Widths(16, Whole(1, 4096)),
    "activation": OneOf(ACTIVATIONS),
    "target_kl": _POSITIVE,
    "cg_max_steps": Whole(1, 1000),
    "cg_damping": Number(),
    "n_critic_updates": Whole(1, 10_000),
    "lstm_hidden_size": Whole(1, 4096),
    "n_lstm_layers": Whole(1, 4),
    "n_step": Whole(1, 1_000_000),
    "buffer_size": Whole(1, MAX_BUFFER),
    "learning_starts": Whole(0, MAX_BUFFER),
    "train_freq": Whole(1, 2**16),
    "gradient_steps": Whole(1, 10_000),
    "target_update_interval": Whole(1, 2**30),
    "exploration_fraction": Number(positive=True, maximum=1.0),
    "exploration_final_eps": _FRACTION,
    "n_quantiles": Whole(1, 1000),
    "learning_rate_decay": _FRACTION,
    "initial_value": Number(signed=True),
    "modified_actions": OneOf(("apart", "dynamics")),
    "max_rows": Whole(1, 2**24),
    "method": OneOf(("es", "cma", "ga", "ars")),
    "population": Whole(4, 2**14),
    "episodes": Whole(1, 2**14),
    "champion_episodes": Whole(1, 2**14),
    "sigma": _POSITIVE,
    "parents": Whole(1, 2**14),
    "elites": Whole(1, 2**14),
    "directions": Whole(1, 2**13),
    "simulations": Whole(1, 2**20),
    "acting": Whole(0, 2**20),
    "considered": Whole(1, 2**16),
    "c_scale": _POSITIVE,
    "model": OneOf(MODELS),
    "model_width": Whole(1, 4096),
    "model_outcomes": Whole(1, 64),
    "model_batch_size": Whole(1, 2**16),
    "model_batches": Whole(0, 10_000),
    "model_learning_rate": _POSITIVE,
}
"""What each setting may be, by name, whichever algorithms have it; None where that is the default.

Those that PPO has not: target_kl, cg_max_steps, cg_damping: the step of the policy, as large as
target_kl lets it be, along what so many conjugate gradients find. n_critic_updates: passes of the
critic. lstm_hidden_size, n_lstm_layers: units a layer, and layers, of a memory in front of net.
n_step: steps after which a target of values looks at the network. buffer_size: transitions held,
of all environments together. learning_starts: environment steps before learning. train_freq: steps
each environment takes between updates; gradient_steps: those of an update. target_update_interval:
environment steps between copies to the target network. exploration_fraction: part of the training
in which the probability of a random action falls from 1 to exploration_final_eps. n_quantiles: of
the return.

Of tables (`powerseek.agents.tabular`): learning_rate_decay d, the n-th update of a value has
learning_rate / n^d. initial_value: of an action never learnt about. modified_actions: apart from
the world's dynamics, or part of them. max_rows: different observations.

Those of evolution: method. population: members of a generation. episodes: that each of them plays;
champion_episodes: that the policy plays besides, on other chance. sigma: standard deviation of what
members differ by, of `cma` the first one. parents: members that have children; elites: those that
live on. directions: pairs that a step is made of.

Those of search: simulations, of a search in training, or of what does not learn. acting: at play, 0
for the bare network. considered: actions between which it divides them, by default `CONSIDERED`, or
all where there are fewer. c_scale: by how much what it finds outweighs the prior, per unit of
return. model: what it thinks in. Of one that is a network, model_width: units of each of its two
layers; model_outcomes: outcomes that it holds possible of a step; model_batches: gradient steps of
an update, of model_batch_size steps each, at model_learning_rate.
"""


def settings_for(world: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of PPO's learners in `world`, with what is `given` in their place.

    Raises:
        InvalidInput: An unknown setting, or a value that is not allowed.
    """
    return complete({**DEFAULT, **WORLDS.get(world, {})}, given or {})


def search_settings(world: str, actions: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``search`` in a `world` with so many actions, with what is `given`.

    Raises:
        InvalidInput: An unknown setting, or a value that is not allowed.
    """
    chosen_there = WORLDS.get(world, {}).items()
    own = {name: value for name, value in chosen_there if name in {"net", "learning_rate"}}
    own |= NETWORK_MODEL if given.get("model") == "network" else {}
    chosen = complete({**SEARCH, **own}, given)
    if (chosen["considered"] or 1) > actions:
        allowed = f"1 to {actions}: {world} has no more actions"
        hint = f"Write considered: {actions}."
        raise InvalidInput("settings.considered", chosen["considered"], allowed, hint)
    return chosen


def complete(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an algorithm, by its `defaults`, with what is `given` in their place.

    Raises:
        InvalidInput: An unknown setting, a value that is not allowed, or values that do not go
            together.
    """
    for name, value in given.items():
        _check(defaults, name, value)
    chosen = {**defaults, **given}
    if "final_learning_rate" in chosen and chosen["final_learning_rate"] is None:
        chosen["final_learning_rate"] = chosen["learning_rate"]
    if "n_steps" in chosen:
        _check_rollout(chosen)
    if "buffer_size" in chosen:
        _check_replay(chosen)
    return chosen


def _check(defaults: Mapping[str, Any], name: str, value: Any) -> None:
    if name not in defaults:
        raise InvalidInput("settings", name, ", ".join(sorted(defaults)))
    default, allowed = defaults[name], ALLOWED[name]
    if (value is None and default is None) or allowed.allows(value):
        return
    hint = "" if default is None else f"Write {name}: {default}."
    raise InvalidInput(f"settings.{name}", value, str(allowed), hint)


def _check_rollout(chosen: Mapping[str, Any]) -> None:
    """Refuse batches of experience that cannot be held, or not be cut into minibatches."""
    size = chosen["n_envs"] * chosen["n_steps"]
    if not 2 <= size <= MAX_BUFFER:
        allowed = f"n_envs x n_steps of 2 to {MAX_BUFFER:,}, not {size:,}"
        raise InvalidInput("settings.n_steps", chosen["n_steps"], allowed)
    batch = chosen.get("batch_size", size)
    if size % batch:
        allowed = f"a divisor of n_envs x n_steps = {size}"
        shared = math.gcd(size, batch)
        hint = f"Write batch_size: {shared if shared > 1 else size}."
        raise InvalidInput("settings.batch_size", batch, allowed, hint)


def _check_replay(chosen: Mapping[str, Any]) -> None:
    """Refuse a buffer shorter than what is learnt from, and copies more frequent than steps."""
    envs, steps = chosen["n_envs"], chosen["n_step"]
    for name, least, words in (
        ("buffer_size", envs * steps, "n_envs x n_step"),
        ("target_update_interval", envs, "n_envs, for all environments take a step together"),
    ):
        if chosen[name] < least:
            allowed = f"at least {least:,}: {words}"
            raise InvalidInput(f"settings.{name}", chosen[name], allowed, f"Write {name}: {least}.")
