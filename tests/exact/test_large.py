"""The largest board that is evaluated exactly: within a laptop's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys
import numpy as np
import powerseek
from powerseek.envs.task import Task
from powerseek.exact import enumerated
from powerseek.exact.measures.attribution import PRICES, outcome_and_attribution

class Weights:
    # One random layer and a softmax.
    def __init__(self, task):
        shape = task.observation_size, task.n_actions
        self.matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def probabilities(self, shown):
        scores = np.where(shown.masks, shown.observations @ self.matrix, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

world = powerseek.make_world("endgame", **json.loads(sys.argv[1]))
mdp = enumerated(world)
task = Task(world, "dense")
outcome, parts = outcome_and_attribution(task, Weights(task), prices=PRICES)
off = [
    sum(part.units.values()) - (outcome.acquisition - part.reference.acquisition)
    for part in parts
]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps([mdp.n_states, mdp.n_pairs, peak, outcome.success, max(map(abs, off))]))
"""


def run(**params: object) -> tuple[int, int, float, float, float]:
    """(states, pairs, peak memory in GB, success, what parts are off by), in another process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(params)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    states, pairs, peak, success, off = json.loads(done.stdout)
    return states, pairs, peak, success, off


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({"size": 5, "openness": 1, "max_steps": 24}, None),
        pytest.param(
            {"size": 8, "openness": 1, "max_steps": 64},
            (208_138, 3_862_208),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["5 x 5", "8 x 8"],
)
def test_a_board_is_evaluated_exactly_in_little_memory(params, sizes):
    states, pairs, peak, success, off = run(**params)
    assert sizes in (None, (states, pairs))
    assert 0 < success < 1
    assert off <= 1e-9
    assert peak < 4.0  # of which compiling the rules takes up to 2.5
