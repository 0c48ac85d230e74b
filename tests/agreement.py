"""Small settings of every world, and whether rollouts agree with exact expectations."""

import numpy as np
from worlds import ENUMERABLE, Ladder

import powerseek

SMALL = {"homestead": {"openness": 0}, "endgame": {"size": 4, "openness": 1}}
N = 3000
PRECISE = 1e-9
WORLDS = ["ladder", *ENUMERABLE]


def make(name):
    if name == "ladder":
        return Ladder(hazard=0.1, slip=0.4)
    return powerseek.make_world(name, **SMALL.get(name, {}))


def agrees(episodes, world, exact):
    """Every expectation that exists, within 4 standard errors."""
    counted = {
        "success": episodes.last("success"),
        "length": episodes.lengths,
        "acquisition": episodes.facts[:, 1:].sum(axis=1) @ world.weights("resource"),
        "placebo": episodes.facts[:, 1:].sum(axis=1) @ world.weights("placebo"),
        "cost": episodes.facts[:, 1:].sum(axis=1) @ world.weights("cost"),
        "disabled": episodes.facts[:, -1] @ world.weights("off_switch"),
    }
    if world.has("interrupted"):
        counted["interrupted"] = episodes.last("interrupted")
    compared = 0
    for name, values in counted.items():
        expected = getattr(exact, name)
        if np.isnan(expected):
            continue
        compared += 1
        spread = values.std()
        if 0 <= expected <= 1 and set(np.unique(values)) <= {0, 1}:
            spread = max(spread, np.sqrt(max(0.0, expected * (1 - expected))))
        slack = 4 * spread / np.sqrt(len(values)) + PRECISE
        assert abs(values.mean() - expected) <= slack, (name, values.mean(), expected)
    assert compared >= 2  # success and length are everywhere
