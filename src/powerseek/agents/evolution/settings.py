"""Settings of the methods of evolution, and how they were chosen.

Twelve candidates of each method (of `es` one more), by the mean competence (success with the
hazard off, actions drawn, 1,000 episodes) after 800,000 steps in `homestead` (openness 0) under
``dense`` and ``terminal`` on seeds 10,001 and 10,002, which no study uses; the winner of each was
then seen on 10,003 to 10,005. No measure of power entered. What is not said of a candidate is as
below, its population 64 (32 of `cma`), with 16 episodes each:

======  =====================================================================  ======  =========
method  candidates, by their mean                                              winner  new seeds
======  =====================================================================  ======  =========
es      sigma .1 at rates .02, .05, .1, .2: .26, .73, .87, .88; 32 members     .91     .91
        at .2: .87; two layers of 64, sigma .1 at .1, sigma .3 at .1
        and .2: .90, .89, .90; sigma .3 at .05, .1, .2: .74, .90, .90, with
        32 members at .2: .91; **that with two layers of 64**
cma     sigma .15, .3, .6: .76, .86, .88; 64 members: .86; 32 episodes: .87;   .90     .89
        16 members with sigma .3, 1: .89, .89; with 32 episodes, 32 units, no
        hidden layer, relu (sigma .3): .89, .89, .84, .88; **16, sigma .6**
ga      sigma .1, .6: .74, .87; 128 members at .1: .56; 32 members, 48 at      .88     .88
        .4: .88, .88; 32 episodes: .84; 1 elite, 12: .87, .88; 6 parents:
        .85; 32 units, two layers of 64: .85, .85; **sigma .3**
ars     16 directions of sigma .1 at .02, .05, .2, .5: .04, .29, .82, .74;     .89     .87
        32 at .3: .84; linear at .5: .74; sigma .3 at .2, .3: .89, .87; sigma
        .5: .87; two layers of 64: .90; 32 members: .88; **8 directions**
======  =====================================================================  ======  =========

Two layers of 64, the network of ``cohort-ppo``, gave `es` as much as one of 16, after half of the
steps (.90, .88); `ars` .90. The best policy has a success of .95. What this is not: one world, and
differences of .02 between two seeds are chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from powerseek.agents.job import Settings
from powerseek.agents.settings import ALLOWED, complete
from powerseek.errors import InvalidInput

METHOD = "es"
"""That of an agent that names none: the most competent."""
COMMON: Mapping[str, Any] = {
    "method": METHOD,
    "episodes": 16,
    "champion_episodes": 16,
    "net": [16],
    "activation": "tanh",
}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "es": {"population": 32, "sigma": 0.3, "learning_rate": 0.2, "net": [64, 64]},
    "cma": {"population": 16, "sigma": 0.6},
    "ga": {"population": 64, "sigma": 0.3, "parents": 12, "elites": 4},
    "ars": {"population": 64, "sigma": 0.3, "learning_rate": 0.2, "directions": 8},
}
"""Those that a method has besides, or that are others with it."""
MIRRORED = ("es", "ars")
MAX_ENVS = 2**16
"""Environments of a generation at most."""


def settings_for(given: Settings) -> dict[str, Any]:
    """All settings of the method that is `given`, with the others of `given` in their place.

    Raises:
        InvalidInput: An unknown setting, one of another method's, a value that is not allowed, or
            values that do not go together.
    """
    method = given.get("method", METHOD)
    if not ALLOWED["method"].allows(method):
        hint = f"Write method: {METHOD}."
        raise InvalidInput("settings.method", method, str(ALLOWED["method"]), hint)
    defaults = {**COMMON, **METHODS[method]}
    for name in given:
        others = [id for id, own in METHODS.items() if name in own]
        if name not in defaults and others:
            allowed = f"no value: a setting of {' and '.join(others)}, not of {method}"
            hint = f"Write method: {others[0]}."
            raise InvalidInput(f"settings.{name}", given[name], allowed, hint)
    chosen = complete(defaults, given)
    _check_sizes(chosen)
    return chosen


def _check_sizes(chosen: Settings) -> None:
    """Refuse numbers that do not go together."""
    population, method = chosen["population"], chosen["method"]
    if method in MIRRORED and population % 2:
        allowed = f"an even number: members of {method} come in mirrored pairs"
        hint = f"Write population: {population + 1}."
        raise InvalidInput("settings.population", population, allowed, hint)
    envs = population * chosen["episodes"]
    if envs > MAX_ENVS:
        allowed = f"population x episodes of at most {MAX_ENVS:,}, not {envs:,}"
        hint = f"Write episodes: {max(1, MAX_ENVS // population)}."
        raise InvalidInput("settings.episodes", chosen["episodes"], allowed, hint)
    for name, most, words in (
        ("directions", population // 2, "population / 2, the pairs that there are"),
        ("parents", population, "population"),
        ("elites", min(chosen.get("parents", 0), population - 1), "parents, fewer than population"),
    ):
        if chosen.get(name, 0) > most:
            allowed = f"at most {most}: {words}"
            raise InvalidInput(f"settings.{name}", chosen[name], allowed, f"Write {name}: {most}.")
