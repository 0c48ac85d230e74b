"""Factors of a study in words: a value, a setting, and the names that people say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MISSING = "-"
"""What stands where a value does not exist."""
SPOKEN = {"power_weight": "w", "max_steps": "steps", "gae_lambda": "lambda"}
"""A factor's name within a sentence, where it is not its own."""
SHORT = {"openness": "open", **SPOKEN}
"""A factor's name as a column head, where it is not its own."""


def dial(value: object) -> str:
    """The value of a factor as a user writes it."""
    if value is None or value != value or value == "":
        return MISSING
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting(row: Mapping[str, object], names: Sequence[str]) -> str:
    """Factors in words: ``dense, openness 2, gamma 0.9``; those without a value are left out."""
    words = []
    for name in names:
        text = dial(row[name])
        if text != MISSING:
            plain = name in ("reward", "params")
            words.append(text if plain else f"{SPOKEN.get(name, name)} {text}")
    return ", ".join(words)


def varying(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of the factors that have more than one value in a table; the reward always."""
    known = [name for name in names if name in table]
    return [n for n in known if n == "reward" or table[n].nunique(dropna=False) > 1]
