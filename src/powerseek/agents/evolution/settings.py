"""Settings of the methods of evolution, and how they were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from powerseek.agents.job import Settings
from powerseek.agents.settings import ALLOWED, complete
from powerseek.errors import InvalidInput

METHOD = "es"
COMMON: Mapping[str, Any] = {
    "method": METHOD,
    "episodes": 16,
    "champion_episodes": 16,
    "net": [16],
    "activation": "tanh",
}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "es": {"population": 32, "sigma": 0.3, "learning_rate": 0.2},
    "cma": {"population": 16, "sigma": 0.6},
    "ga": {"population": 64, "sigma": 0.3, "parents": 12, "elites": 4},
    "ars": {"population": 64, "sigma": 0.3, "learning_rate": 0.2, "directions": 8},
}
"""Those that a method has besides."""
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
