"""Policies for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from powerseek.envs.task import Task
from powerseek.types import Floats, Situation


@dataclass
class Linear:
    """A policy that looks at every feature: softmax of a random matrix, float32 as networks are."""

    task: Task
    seed: int = 0
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        shape = (self.task.observation_size, self.task.n_actions)
        self.matrix = (self.sharpness * rng.normal(size=shape)).astype(np.float32)

    def probabilities(self, situation: Situation) -> Floats:
        # Row by row: sums of a product of matrices depend on how many rows there are.
        scores = (situation.observations[:, :, None] * self.matrix).sum(axis=1)
        scores = np.where(situation.masks, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)
