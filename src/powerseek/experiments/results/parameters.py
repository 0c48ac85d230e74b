"""A world's parameters in words: those alone that differ between a study's settings of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import pandas as pd

Words: TypeAlias = Mapping[tuple[str, str], str]
"""(world, its parameters as JSON) -> what is said of them."""


def in_words(table: pd.DataFrame) -> Words:
    """What is said of the parameters of each setting, where a world has settings that differ.

    Args:
        table: Columns ``world`` and ``params`` (JSON objects; anything else is left as it is).
    """
    found: dict[tuple[str, str], str] = {}
    for world, texts in table.groupby("world", sort=False, observed=True)["params"]:
        every = texts.dropna().unique()
        known = {text: given for text in every if (given := _read(text)) is not None}
        if len(every) < 2 or len(known) < len(every):
            continue
        names = sorted({name for given in known.values() for name in given})
        varied = [n for n in names if len({_value(given.get(n)) for given in known.values()}) > 1]
        for text, given in known.items():
            words = [f"{n} {_value(given[n])}" for n in varied if n in given]
            found[str(world), text] = ", ".join(words)
    return found


def told(table: pd.DataFrame, words: Words) -> pd.DataFrame:
    """The table with its column ``params`` in words; itself where there are none."""
    if not words or "params" not in table:
        return table
    pairs = zip(table["world"], table["params"], strict=True)
    said = [words.get(pair, pair[1]) for pair in pairs]
    return table.assign(params=pd.Series(said, index=table.index, dtype=object))


def _read(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
