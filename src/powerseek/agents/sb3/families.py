"""The algorithms of Stable-Baselines3 and sb3-contrib that are agents here: a record for each.

The library's classes are named, not loaded: a setting is asked for without PyTorch.

How the settings were chosen, of all but PPO (whose stand in `powerseek.agents.settings`, and were
not changed): three candidates each, by the mean competence (success with the hazard off, actions
drawn, 1,000 episodes) after 100,000 steps in `homestead` (openness 0) under ``dense`` and
``terminal`` on seeds 10,001 and 10,002, which no study uses. No measure of power entered. Reached
on the two seeds:

=============  =============  ============  =====================
agent          dense          terminal      mean of its candidates
=============  =============  ============  =====================
maskable-ppo   .90, .94       .91, .96      not chosen here
ppo            .86, .84       0, 0          not chosen here
a2c            .85, .84       0, 0          .41, .36, **.42**
trpo           .86, .94       0, .86        **.66**, .46, .45
recurrent-ppo  .85, .83       .75, .85      .41, .36, **.82**
dqn            .76, .58       .87, .91      .49, .62, **.78**
qrdqn          .97, .94       0, 0          .24, .41, **.48**
=============  =============  ============  =====================

All but the first see no masks; `ppo` is the first without them. The candidates, in their order:
a2c: 16 x 5 steps at .0007 without a bonus and lambda 1, 16 x 8 at .002 with .01 and 1, 32 x 8 at
.003 with .005 and .97. trpo: 32 x 64 steps and target_kl .02 or .05, 16 x 64 and .02.
recurrent-ppo: 32 units at .003 or .001, 64 at .003. dqn and qrdqn, the same: n_step 1, 5 or 3; 4, 4
or 8 gradient steps of 128, 128 or 64 transitions in 32 steps; final eps .05, .02 or .02.

What this is not: of a2c two more candidates were run, and of trpo one and a part, none better and
none counted. Two seeds tell large differences apart, not small ones: who compares these algorithms
should choose anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, Literal

from powerseek.agents.job import Settings
from powerseek.agents.settings import DEFAULT, WORLDS, complete

Acts = Literal["draws", "values", "remembers"]


@dataclass(frozen=True)
class Family:
    """One algorithm of the library.

    Attributes:
        algorithm: Its class, ``module:Name``.
        network: Class of its network, likewise.
        defaults: All its settings, where a world has none of its own.
        worlds: Settings of its own in some worlds.
        passed_on: Settings that the algorithm takes, by our name: the library's.
        shaped_by: Settings that its network takes besides ``net`` and ``activation``.
        masked: True if it learns and acts over legal actions alone.
        on_policy: True if it learns from each batch of experience once; False if it keeps a
            replay buffer.
        acts: How its network gives probabilities: it ``draws`` from logits, ``remembers`` and
            draws, or has ``values`` of which it takes the greatest, but for chance.
        values: The part of its network that gives values.
        moments: What its optimiser remembers of each weight.
        per_count: Gradient steps in what the library counts as one update.
        weights: Numbers in its network, of its settings and of how many observations and actions.
        rows: Transitions that pass a gradient step, on average.
    """

    algorithm: str
    network: str
    defaults: Settings
    passed_on: Mapping[str, str]
    weights: Callable[[Settings, int, int], int]
    per_count: Callable[[Settings], int]
    worlds: Mapping[str, Settings] = field(default_factory=dict)
    shaped_by: tuple[str, ...] = ()
    masked: bool = False
    on_policy: bool = True
    acts: Acts = "draws"
    values: str = ""
    moments: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    rows: Callable[[Settings], float] = lambda settings: float(settings["batch_size"])

    def settings(self, world: str, given: Settings) -> dict[str, Any]:
        """All settings in `world`, with what is `given` in place of the defaults.

        Raises:
            InvalidInput: An unknown setting, or a value that is not allowed.
        """
        return complete({**self.defaults, **self.worlds.get(world, {})}, given)

    def flops(self, settings: Settings, weights: int, timesteps: int, updates: int) -> float:
        """Floating point operations in its networks, of a training so far.

        Two a weight and row; backward is twice forward. A network of values acts alone, and learns
        from what its copy says of the next state. Biases count as weights.
        """
        acting, learning = (0.5, 2.0) if self.acts == "values" else (1.0, 3.0)
        return 2 * weights * (acting * timesteps + learning * self.rows(settings) * updates)

    def algorithm_class(self) -> Any:
        """The library's class; loads PyTorch."""
        return _named(self.algorithm)

    def network_class(self) -> Any:
        """The class of its network; loads PyTorch."""
        return _named(self.network)


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


# --- sizes and counts ------------------------------------------------------------------------


def _dense(*widths: int) -> int:
    """Numbers in linear layers of these widths, inputs first."""
    return sum((i + 1) * o for i, o in pairwise(widths))


def _actor_critic(settings: Settings, inputs: int, actions: int) -> int:
    net = settings["net"]
    return _dense(inputs, *net, actions) + _dense(inputs, *net, 1)


def _with_memory(settings: Settings, inputs: int, actions: int) -> int:
    """Actor and critic have a memory each."""
    units, layers = settings["lstm_hidden_size"], settings["n_lstm_layers"]
    memory = sum(4 * units * (i + units + 2) for i in [inputs, *[units] * (layers - 1)])
    return int(2 * memory) + _actor_critic(settings, units, actions)


def _two_nets(settings: Settings, inputs: int, actions: int) -> int:
    """The network, and the one of its targets."""
    return 2 * _dense(inputs, *settings["net"], actions * settings.get("n_quantiles", 1))


def _minibatches(settings: Settings) -> int:
    return int(settings["n_envs"] * settings["n_steps"] // settings["batch_size"])


def _natural_and_critic(settings: Settings) -> int:
    return 1 + int(settings["n_critic_updates"]) * _minibatches(settings)


def _batch(settings: Settings) -> float:
    return float(settings["n_envs"] * settings["n_steps"])


def _batches_and_minibatches(settings: Settings) -> float:
    """The gradient, a product with the Fisher matrix a step of conjugate gradients, the search."""
    steps, batch = _natural_and_critic(settings), settings["batch_size"]
    passed = _batch(settings) * (2 + settings["cg_max_steps"]) + (steps - 1) * batch
    return float(passed) / steps


def _one(settings: Settings) -> int:
    return 1


def _alike(*names: str) -> dict[str, str]:
    return {name: name for name in names}


# --- the table -------------------------------------------------------------------------------

_ROLLOUT = ("n_steps", "gae_lambda")
_LOSS = ("ent_coef", "vf_coef", "max_grad_norm")
_CLIPPED = _alike(*_ROLLOUT, *_LOSS, "batch_size", "n_epochs", "clip_range")
_REPLAY = {
    **_alike("buffer_size", "learning_starts", "batch_size", "train_freq", "gradient_steps"),
    **_alike("target_update_interval", "exploration_fraction", "exploration_final_eps"),
    **_alike("max_grad_norm"),
    "n_step": "n_steps",
}
_NET: dict[str, Any] = {"net": [64, 64], "activation": "tanh"}
_OFF_POLICY: dict[str, Any] = {
    "n_envs": 16,
    "train_freq": 2,
    "gradient_steps": 8,
    "batch_size": 64,
    "n_step": 3,
    "buffer_size": 50_000,
    "learning_starts": 1_000,
    "target_update_interval": 1_000,
    "exploration_fraction": 0.3,
    "exploration_final_eps": 0.02,
    "learning_rate": 1e-3,
    "final_learning_rate": None,
    "max_grad_norm": 10.0,
    "net": [64, 64],
    "activation": "relu",
}

FAMILIES: Mapping[str, Family] = {
    "ppo": Family(
        "stable_baselines3:PPO",
        "stable_baselines3.common.policies:ActorCriticPolicy",
        DEFAULT,
        _CLIPPED,
        _actor_critic,
        _minibatches,
        WORLDS,
    ),
    "maskable-ppo": Family(
        "sb3_contrib:MaskablePPO",
        "sb3_contrib.common.maskable.policies:MaskableActorCriticPolicy",
        DEFAULT,
        _CLIPPED,
        _actor_critic,
        _minibatches,
        WORLDS,
        masked=True,
    ),
    "a2c": Family(
        "stable_baselines3:A2C",
        "stable_baselines3.common.policies:ActorCriticPolicy",
        {
            "n_envs": 32,
            "n_steps": 8,
            "learning_rate": 3e-3,
            "final_learning_rate": None,
            "ent_coef": 0.005,
            "gae_lambda": 0.97,
            "vf_coef": 0.5,
            "max_grad_norm": 0.5,
            **_NET,
        },
        _alike(*_ROLLOUT, *_LOSS),
        _actor_critic,
        _one,
        moments=("square_avg",),
        rows=_batch,
    ),
    "trpo": Family(
        "sb3_contrib:TRPO",
        "stable_baselines3.common.policies:ActorCriticPolicy",
        {
            "n_envs": 32,
            "n_steps": 64,
            "batch_size": 512,
            "learning_rate": 3e-3,
            "final_learning_rate": None,
            "gae_lambda": 0.97,
            "target_kl": 0.02,
            "cg_max_steps": 15,
            "cg_damping": 0.1,
            "n_critic_updates": 10,
            **_NET,
        },
        _alike(
            *_ROLLOUT, "batch_size", "target_kl", "cg_max_steps", "cg_damping", "n_critic_updates"
        ),
        _actor_critic,
        _natural_and_critic,
        rows=_batches_and_minibatches,
    ),
    "recurrent-ppo": Family(
        "sb3_contrib:RecurrentPPO",
        "sb3_contrib.common.recurrent.policies:RecurrentActorCriticPolicy",
        {
            **DEFAULT,
            "n_envs": 64,
            "batch_size": 512,
            "ent_coef": 0.005,
            "gae_lambda": 0.97,
            "net": [64],
            "lstm_hidden_size": 64,
            "n_lstm_layers": 1,
        },
        _CLIPPED,
        _with_memory,
        _minibatches,
        shaped_by=("lstm_hidden_size", "n_lstm_layers"),
        acts="remembers",
    ),
    "dqn": Family(
        "stable_baselines3:DQN",
        "stable_baselines3.dqn.policies:DQNPolicy",
        _OFF_POLICY,
        _REPLAY,
        _two_nets,
        _one,
        on_policy=False,
        acts="values",
        values="q_net",
    ),
    "qrdqn": Family(
        "sb3_contrib:QRDQN",
        "sb3_contrib.qrdqn.policies:QRDQNPolicy",
        {**_OFF_POLICY, "n_quantiles": 25},
        _REPLAY,
        _two_nets,
        _one,
        shaped_by=("n_quantiles",),
        on_policy=False,
        acts="values",
        values="quantile_net",
    ),
}
"""The family, by agent id."""
