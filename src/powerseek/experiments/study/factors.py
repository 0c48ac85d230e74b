"""Factors: all that a study can vary, in one table; and a factor's value and a setting in words.

Three kinds: what makes a cell (`FACTORS`), any parameter of a world, any setting of an agent. In
tables of trials each has a column, by which rows are told apart and compared: its name, or for
what is not in `FACTORS` ``params.NAME`` and ``settings.NAME``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

    from powerseek.experiments.study.grid import Cell

Of: TypeAlias = Literal["cell", "world", "agent"]
Level: TypeAlias = float | str | None
"""A value of a factor, as tables hold it."""


@dataclass(frozen=True)
class Factor:
    """Something that a study can vary.

    Attributes:
        name: As studies write it.
        of: Whether it makes a cell, a world or an agent.
        dtype: What its column of the results holds.
        default: Its value where a study says nothing.
        always: Whether every table tells cells apart by it; else where it varies.
        short: Head of its column.
        spoken: Its name within a sentence.
        column: Its column, where that is not its name.
        tacit: Whether its default goes without saying.
    """

    name: str
    of: Of
    dtype: type = float
    default: Any = None
    always: bool = False
    short: str = ""
    spoken: str = ""
    column: str = ""
    tacit: bool = False

    def __post_init__(self) -> None:
        for field in ("spoken", "column"):
            object.__setattr__(self, field, getattr(self, field) or self.name)
        object.__setattr__(self, "short", self.short or self.spoken)

    def goes_without_saying(self, level: object) -> bool:
        """True at a default that names leave out."""
        return self.tacit and level == self.default


FACTORS: tuple[Factor, ...] = (
    Factor("openness", "world", always=True, short="open"),
    Factor("goal", "world", str, always=True),
    Factor("layout", "world", str),
    Factor("reward", "cell", str, "dense", always=True),
    Factor("power_weight", "cell", float, 0.0, always=True, spoken="w", tacit=True),
    Factor("gamma", "cell", float, 1.0, always=True),
    Factor("max_steps", "world", int, spoken="steps"),
    Factor("time_limit", "cell", str, "terminal"),
    Factor("gae_lambda", "cell", spoken="lambda"),
    Factor("n_step", "cell", int),
    Factor("lookahead", "cell", int),
    Factor("agent", "cell", str, "cohort-ppo", tacit=True),
    Factor("timesteps", "cell", int, column="budget", short="budget"),
    Factor("phases", "cell", str),
    Factor("shift", "cell", str),
)
"""What makes a cell, beside its world, in the order of the results' columns. ``layout`` is a
stratum, and ``lookahead`` stands in the reward too: neither tells cells apart."""

BY_NAME: Mapping[str, Factor] = {factor.name: factor for factor in FACTORS}
BY_COLUMN: Mapping[str, Factor] = {factor.column: factor for factor in FACTORS}
PREFIX: Mapping[Of, str] = {"world": "params.", "agent": "settings."}
APART = ("layout", "lookahead")
LATER = ("phases", "shift")
"""Those that came after the columns of results had an order that scripts know."""
TRAINING = BY_NAME["timesteps"].column
"""Column of the length of training."""

CELL: tuple[str, ...] = ("world", *(factor.column for factor in FACTORS if factor.always))
"""Columns that make a cell in every study."""
MORE: tuple[str, ...] = (
    "version",
    *(f.column for f in FACTORS if not f.always and f.name not in APART),
)
"""Further ones: where a study varies them within a world, as parameters and settings do."""


def factor_of(column: str) -> Factor:
    """The factor that has a column."""
    if column in BY_COLUMN:
        return BY_COLUMN[column]
    for of, prefix in PREFIX.items():
        if column.startswith(prefix):
            return Factor(column.removeprefix(prefix), of, column=column)
    return Factor(column, "cell")


def column_of(name: str, columns: Iterable[str]) -> str | None:
    """The column of what a study calls `name`, among some; None if it is none of them.

    What makes a cell comes before a world's parameter, and that before an agent's setting, where
    they share a name; a column's own name is always understood.
    """
    known = set(columns)
    if name in BY_NAME and BY_NAME[name].column in known:
        return BY_NAME[name].column
    return next((c for p in ("", *PREFIX.values()) if (c := f"{p}{name}") in known), None)


def factor_level(value: Any) -> Level:
    """A value as tables hold it: numbers as floats, truth as text, all else as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return json.dumps(value, sort_keys=True)


def level_in(column: str, value: Any) -> Level:
    """A value that a study writes, as the column of its factor holds it."""
    factor = factor_of(column)
    plain = column == factor.name and factor.dtype is str and value is not None
    return str(value) if plain else factor_level(value)


def level_rank(value: Level) -> float | None:
    """A level's place on its factor's scale; None of one that has no order."""
    if isinstance(value, str):
        return {"false": 0.0, "true": 1.0}.get(value)
    return value if value is not None and isfinite(value) else None


def ordered(values: Iterable[Level]) -> list[Level]:
    """Levels, rising, each once; empty where they have no order."""
    known = dict.fromkeys(value for value in values if value is not None and value == value)
    if any(level_rank(value) is None for value in known):
        return []
    return sorted(known, key=lambda value: level_rank(value) or 0.0)


def levels_of(cell: Cell) -> dict[str, Level]:
    """The level of every factor of a cell, by column; ``world`` and ``version`` besides."""
    own = {f.column: getattr(cell, f.name) for f in FACTORS if f.of == "cell"}
    own |= {"reward": cell.reward_label, "agent": cell.agent_label, "shift": cell.shift_label}
    return {
        "world": cell.world,
        "version": float(cell.version),
        **{name: factor_level(value) for name, value in own.items() if name not in APART},
        **dict(factor_columns(cell.params, "world", own)),
        **dict(factor_columns(cell.settings, "agent", own)),
    }


def factor_columns(
    given: Mapping[str, Any], of: Of, own: Mapping[str, Any]
) -> Iterator[tuple[str, Level]]:
    """Parameters of a world, or settings of an agent, by column.

    Args:
        given: Them, by name.
        of: Whose they are.
        own: What makes the cell: a setting that this holds too is told by it alone.
    """
    for name, value in given.items():
        if of == "agent" and name in FOLLOWS and value == given.get(FOLLOWS[name]):
            continue
        factor = BY_NAME.get(name)
        if factor is not None and factor.of == of:
            if name not in APART:
                yield factor.column, level_in(factor.column, value)
        elif of != "agent" or own.get(name) is None:
            yield f"{PREFIX[of]}{name}", factor_level(value)


FOLLOWS = {"final_learning_rate": "learning_rate"}
"""Settings that are another's value unless they are given: then the two are one factor."""
MISSING = "-"
"""What stands where a value does not exist."""


def factor_heading(column: str) -> str:
    """A factor's name as a column head."""
    return factor_of(column).short


def written_level(value: object) -> str:
    """The value of a factor as a user writes it."""
    if value is None or value != value or value == "":
        return MISSING
    return f"{value:g}" if isinstance(value, float) else str(value)


def factors_in_words(row: Mapping[str, object], names: Sequence[str]) -> str:
    """Factors in words: ``dense, openness 2, gamma 0.9``.

    Those without a value are left out, and those at a default that goes without saying.
    """
    words = []
    for name in names:
        text, factor = written_level(row[name]), factor_of(name)
        if text != MISSING and not factor.goes_without_saying(row[name]):
            words.append(text if name == "reward" else f"{factor.spoken} {text}")
    return ", ".join(words)


def varying_factors(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of the factors that have more than one value in a table; the reward always.

    A parameter varies within a world and a setting within an agent there: agents that have other
    settings differ as agents, and in nothing besides.
    """
    return [n for n in names if n in table and (n == "reward" or _varies(table, n))]


def telling_factors(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of the factors that vary in a table, less those that `goes_along` with another."""
    varied = varying_factors(table, names)
    along = goes_along(table, varied)
    return [name for name in varied if name not in along]


def goes_along(table: pd.DataFrame, varied: Sequence[str]) -> dict[str, str]:
    """Settings and lengths of training that tell nothing which another factor does not tell.

    Each value of that factor has one of theirs: as where a study gives every size of a world
    settings of its own. By each of them that factor, which is the world's where one is.
    """
    follows = [name for name in varied if factor_of(name).of == "agent"]
    follows += [TRAINING] if TRAINING in varied else []
    leads = [name for name in varied if factor_of(name).of == "world"]
    found: dict[str, str] = {}
    for name in follows:
        lead = next((lead for lead in leads if _tells(table, lead, name)), None)
        if lead is None:
            leads.append(name)
        else:
            found[name] = lead
    return found


def _tells(table: pd.DataFrame, lead: str, name: str) -> bool:
    own = [*(owner for owner in ("world", "agent") if owner in table), lead]
    return len(table[[*own, name]].drop_duplicates()) == len(table[own].drop_duplicates())


def _varies(table: pd.DataFrame, name: str) -> bool:
    owners = {PREFIX["world"]: ["world"], PREFIX["agent"]: ["world", "agent"]}
    near = next((own for prefix, own in owners.items() if name.startswith(prefix)), [])
    within = [owner for owner in near if owner in table]
    if not within:
        return bool(table[name].nunique(dropna=False) > 1)
    return bool((table.groupby(within)[name].nunique(dropna=False) > 1).any())
