"""The same world in plain Python: its own rules, run by the interpreter on ordinary objects.

The fair slow baseline: numbers on a plain object instead of NumPy records, Python's own random
numbers instead of the tape, one object per environment, as one would write it by hand. Needs
NUMBA_DISABLE_JIT=1, set before anything imports numba.
"""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

import powerseek
from powerseek.envs.engine import chance


def _flip(c: random.Random, p: float) -> bool:
    return p > 0 and (p >= 1 or c.random() < p)


def _pick(c: random.Random, n: int) -> int:
    return 0 if n <= 1 else int(c.random() * n)


def _weighted(c: random.Random, weights: Any) -> int:
    return c.choices(range(len(weights)), weights=list(weights))[0]


_PLAIN = ((chance.flip, _flip), (chance.pick, _pick), (chance.weighted, _weighted))


def _use_plain_chance() -> None:
    """Let every module of rules draw from Python's generator instead of the tape."""
    for taped, plain in _PLAIN:
        for module in list(sys.modules.values()):
            if getattr(module, taped.__name__, None) is taped:
                setattr(module, taped.__name__, plain)


class PlainEnv(gymnasium.Env[Any, Any]):
    """One copy of a world under the dense arm, in plain Python.

    Args:
        world: World id.
        seed: Seed of Python's generator.
        **params: The world's parameters.
    """

    def __init__(self, world: str, seed: int = 0, **params: Any) -> None:
        if not chance.INTERPRETED:
            raise RuntimeError("PlainEnv measures plain Python: set NUMBA_DISABLE_JIT=1 first")
        self.world = powerseek.make_world(world, **params)
        self.rules = type(self.world)
        _use_plain_chance()
        self.random = random.Random(seed)
        self.prepared = self.world.prepared
        self.features = len(self.world.observation_names) + 1
        self.observation_space = gymnasium.spaces.Box(-10, 10, (self.features,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(self.world.n_actions)
        self.progress, self.success, self.over = (
            self.world.columns(name).start for name in ("progress", "success", "over")
        )

    def _zero(self, fields: Any) -> None:
        for name, kind, *shape in fields:
            zero: Any = 0 if kind == "i8" else 0.0
            setattr(self.state, name, np.zeros(*shape) if shape else zero)

    def _look(self) -> Any:
        observation = np.zeros(self.features, np.float32)
        self.rules.observe(self.prepared, self.state, observation)
        observation[-1] = 1 - self.clock / self.world.max_steps
        self.facts = [0.0] * len(self.world.fact_names)
        self.rules.measure(self.prepared, self.state, self.facts)
        self.mask = [False] * self.world.n_actions
        if self.facts[self.over] <= 0:
            self.rules.legal(self.prepared, self.state, self.mask)
        return observation

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self.state = SimpleNamespace()
        self._zero(self.world.state)
        self._zero(self.world.flows)
        self.clock = 0
        self.rules.initial(self.prepared, self.state, self.random)
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step once; an illegal action is a wasted step."""
        before = self.facts[self.progress]
        self._zero(self.world.flows)
        if self.mask[action]:
            self.rules.transition(self.prepared, self.state, int(action), self.random)
        self.clock += 1
        observation = self._look()
        ended = self.facts[self.over] > 0 or self.clock >= self.world.max_steps
        info = {"success": self.facts[self.success]} if ended else {}
        return observation, self.facts[self.progress] - before, ended, False, info
