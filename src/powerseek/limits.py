"""Limits of the whole numbers that users give: one declaration for study files, CLI and Python."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import NamedTuple

from powerseek.errors import InvalidInput


class Limit(NamedTuple):
    """The range of a whole number, both ends allowed."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        """The range in words."""
        return f"a whole number >= {self.minimum} and <= {self.maximum:,}"


MAX_SEED = 2**32 - 1
"""NumPy's global generator, from which Stable-Baselines3 draws, takes no greater one."""

LIMITS: Mapping[str, Limit] = {
    "seed": Limit(0, MAX_SEED),
    "world_seed": Limit(0, 2**64 - 1),
    "first_seed": Limit(0, MAX_SEED),
    "seeds": Limit(1, MAX_SEED + 1),
    "layouts": Limit(2, 1_000_000),
    "trials": Limit(1, 200_000),
    "cohort": Limit(1, 10_000),
    "timesteps": Limit(1, 10**12),
    "episodes": Limit(1, 100_000),
    "evaluations": Limit(1, 100_000),
    "n_step": Limit(1, 1_000_000),
    "samples": Limit(1, 1_000_000),
    "sample": Limit(0, 200_000),
    "steps": Limit(1, 1_000),
    "limit": Limit(1, 100_000_000),
    "workers": Limit(1, 100_000),
}
"""What can be meant: beyond it memory, files or a lifetime would not suffice. ``world_seed`` is of
chance alone, without a learner."""


def check_limit(name: str, value: object, field: str = "") -> int:
    """The value, if it is a whole number within the limits of `name`.

    Args:
        name: Of `LIMITS`.
        value: As the user gave it.
        field: How the user writes it, where that is not `name`.

    Raises:
        InvalidInput: It is not.
    """
    limit = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidInput(field or name, value, str(limit))
    value = int(value)
    if not limit.minimum <= value <= limit.maximum:
        near = min(max(value, limit.minimum), limit.maximum)
        raise InvalidInput(field or name, value, str(limit), f"Write {near}.")
    return value
