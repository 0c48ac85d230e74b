"""Comparisons of a study's hypotheses in its grid: settings, arms, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from powerseek.agents.spec import agent_id
from powerseek.envs.rewards.spec import place_of
from powerseek.errors import InvalidInput
from powerseek.experiments.study.arms import (
    arms_compared,
    blind_to_timing,
    factor_scales,
    without_timing,
)
from powerseek.experiments.study.contrasts import (
    KINDS,
    ONE_ARM,
    SHARE_BEYOND,
    Contrast,
    contrast_kind,
    factor_contrast_kind,
)
from powerseek.experiments.study.errors import did_you_mean
from powerseek.experiments.study.factors import (
    FOLLOWS,
    LATER,
    PREFIX,
    TRAINING,
    Level,
    column_of,
    factor_of,
    level_in,
    levels_of,
    ordered,
    written_level,
)
from powerseek.experiments.study.grid import Cell
from powerseek.experiments.study.schema import Hypothesis, Study
from powerseek.metrics import is_shifted, metric_of, unshifted
from powerseek.registry import list_metrics, worlds

CROSSING = "competence>="
"""What the name of a checkpoint starts with that is a level of competence."""
Record = tuple[dict[str, Level], Cell]


@dataclass(frozen=True)
class Compared:
    """One comparison in one setting.

    Attributes:
        setting: What all arms share, by column.
        columns: What differs between them: one column, of an interaction two.
        arms: The cells of each arm by its level, in the order of `contrasts.compared`; of an
            interaction by both levels.
    """

    setting: dict[str, Level]
    columns: tuple[str, ...]
    arms: Mapping[Any, list[Cell]]

    def plain(self) -> dict[str, Any]:
        """As plain JSON values: what a registration holds."""
        levels, setting = list(self.arms), spelled_out(self.setting)
        if len(levels) <= 2 and len(self.columns) == 1:
            a, b = (*levels, None)[:2]
            return {**setting, "a": a, "b": b}
        return {**setting, "arms": [list(x) if isinstance(x, tuple) else x for x in levels]}


def spelled_out(setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting of an agent with those that follow another, as registrations hold it.

    What came later stands there only where a study says it: registrations stay what they were.
    """
    found = {k: level for k, level in setting.items() if k not in LATER or level is not None}
    for name, other in FOLLOWS.items():
        name, other = (f"{PREFIX['agent']}{one}" for one in (name, other))
        if other in found:
            found.setdefault(name, found[other])
    return found


def hypothesis_comparisons(said: Hypothesis | Contrast, grid: Sequence[Cell]) -> Iterator[Compared]:
    """Every comparison that a hypothesis, or a contrast in every world, is about.

    Args:
        said: The hypothesis, or the contrast.
        grid: Cells of the study.
    """
    contrast = said if isinstance(said, Contrast) else said.contrast
    arm = None if isinstance(said, Contrast) else said.arm
    records = _records(said, grid)
    columns = columns_of(contrast, {column for record, _ in records for column in record})
    if columns is None:
        return
    specs = {cell.reward_label: cell.reward for cell in grid}
    places = {label: at for label, spec in specs.items() if (at := place_of(spec)) is not None}
    unpaid = {record["world"] for record, cell in records if not cell.power_weight}
    if "power_weight" not in columns:  # the paid are the positive control, and nothing else
        records = [r for r in records if not (r[1].power_weight and r[0]["world"] in unpaid)]
    apart = columns_apart(contrast, columns, [record for record, _ in records])
    settings: dict[str, tuple[dict[str, Level], dict[Any, list[Cell]]]] = {}
    for record, cell in records:
        found = tuple(record.get(column) for column in columns)
        setting = shared_levels(record, apart)
        key = json.dumps(setting, sort_keys=True)
        arms = settings.setdefault(key, (setting, {}))[1]
        arms.setdefault(found if len(columns) > 1 else found[0], []).append(cell)
    for setting, arms in settings.values():
        here = factor_scales(columns, (r for r, _ in records if r["world"] == setting["world"]))
        gamma = float(setting.get("gamma") or 1.0)
        for levels in arms_compared(
            contrast, arms, places, columns=columns, scales=here, gamma=gamma, arm=arm
        ):
            yield Compared(setting, columns, {level: arms.get(level, []) for level in levels})


def kind_named(contrast: Contrast, grid: Sequence[Cell]) -> str:
    """The name of the kind of comparison that a contrast is one of, as tables call it."""
    if not contrast.of_factor:
        return contrast.kind
    columns = columns_of(contrast, {column for cell in grid for column in levels_of(cell)})
    return factor_contrast_kind(columns[0]) if columns else contrast.factors[0]


def columns_of(contrast: Contrast, known: set[str]) -> tuple[str, ...] | None:
    """Columns that differ between the arms of a contrast; None if one is none of `known`."""
    if not contrast.factors:
        return (contrast_kind(contrast.kind).factor,)
    found = [column_of(name, known) for name in contrast.factors]
    return None if None in found else tuple(str(column) for column in found)


def columns_apart(
    contrast: Contrast, columns: tuple[str, ...], records: Iterable[Mapping[str, Level]]
) -> tuple[str, ...]:
    """Columns in which the arms of a contrast may differ.

    Agents may be compared that were trained for other lengths, each as its own kind is, where no
    agent has several in a setting; of those each length is a setting.

    Args:
        contrast: The contrast.
        columns: Those that it is about.
        records: The levels of all cells that it is about, by column.
    """
    if not contrast.of_factor or columns != ("agent",):
        return columns
    apart, lengths = (*columns, TRAINING), dict[str, set[Level]]()
    for record in records:
        key = json.dumps([record["agent"], shared_levels(record, apart)], sort_keys=True)
        lengths.setdefault(key, set()).add(record.get(TRAINING))
    return apart if all(len(known) == 1 for known in lengths.values()) else columns


def shared_levels(record: Mapping[str, Level], columns: Sequence[str]) -> dict[str, Level]:
    """Levels shared by arms that differ in some columns.

    An agent's settings are its own where agents are compared; and arms that differ in a setting are
    one agent, by whatever settings each is named.
    """
    own = PREFIX["agent"]
    shared = {
        column: level
        for column, level in record.items()
        if column not in columns and not ("agent" in columns and column.startswith(own))
    }
    if any(column.startswith(own) for column in columns) and "agent" in shared:
        shared["agent"] = agent_id(str(shared["agent"]))
    return shared


def _records(said: Hypothesis | Contrast, grid: Sequence[Cell]) -> list[Record]:
    """The cells that it is about, each with its levels."""
    records = [(levels_of(cell), cell) for cell in grid]
    if isinstance(said, Contrast):
        return records
    return [(record, cell) for record, cell in records if concerns_cell(said, record)]


def concerns_cell(said: Hypothesis, record: Mapping[str, Any]) -> bool:
    """True if a hypothesis is about the cell that has these levels, by column."""
    label = str(record["agent"])
    own = said.agent in (None, label, agent_id(label))
    own = own and _world_of(said) in (None, record["world"])
    if is_shifted(said.compared):  # measured where somebody was
        own = own and isinstance(record.get("shift"), str)
    return own and all(_has(record, name, value) for name, value in said.params.items())


def _world_of(said: Hypothesis) -> str | None:
    """The id of the world that it names, by its id or as PATH.py:NAME."""
    return said.world and worlds.resolve_imported(said.world)


def _has(record: Mapping[str, Any], name: str, value: Any) -> bool:
    """True if a cell has a level of what a study calls `name`."""
    column = column_of(name, record)
    return column is not None and record[column] == level_in(column, value)


def check_hypotheses(study: Study, grid: Sequence[Cell]) -> None:
    """Refuse a hypothesis about something that the study does not hold.

    Raises:
        InvalidInput: A world, configuration, agent, checkpoint, factor, level, metric, line or
            comparison the study does not have, or one claim twice.
    """
    seen: dict[str, int] = {}
    for i, said in enumerate(study.hypotheses):
        where = f"hypotheses[{i}]"
        held = list(dict.fromkeys(cell.world for cell in grid))
        _one_of(f"{where}.world", _world_of(said), held)
        there = [cell for cell in grid if _world_of(said) in (None, cell.world)]
        known = [name for cell in there for name in (cell.agent_label, cell.agent)]
        _one_of(f"{where}.agent", said.agent, list(dict.fromkeys(known)))
        watched = ["end", *(f"{CROSSING}{level:g}" for level in study.competence)]
        _one_of(f"{where}.checkpoint", said.checkpoint, watched)
        _check_params(said, where, there)
        _check_measure(said, where, there)
        _check_margin(said, where)
        _check_arm(said, where, there)
        _check_factors(said, where, there)
        compared = list(hypothesis_comparisons(said, grid))
        _check_treatments(said, where, compared)
        if not compared:
            kinds = [
                n for n in KINDS if any(True for _ in hypothesis_comparisons(Contrast(n), there))
            ]
            allowed = f"a comparison of which {said.world or 'the study'} has both arms"
            allowed += f" (it has {', '.join(kinds) or 'none'})"
            hint = f"Write {_lacking(said.contrast)}."
            raise InvalidInput(f"{where}.contrast", said.contrast.written, allowed, hint)
        claim = json.dumps(plain(said) | {"id": ""}, sort_keys=True)
        if claim in seen:
            allowed = f"a claim of its own (hypotheses[{seen[claim]}] already makes this one)"
            raise InvalidInput(where, said.id, allowed, "Leave one of them out.")
        seen[claim] = i


def _check_treatments(said: Hypothesis, where: str, compared: Sequence[Compared]) -> None:
    """Refuse to compare rewards with an agent for which they are one treatment, bit for bit."""
    alike = [one for one in compared if _alike(one)]
    if not alike:
        return
    able = {cell.agent for one in compared if one not in alike for (cell, *_) in one.arms.values()}
    ((cell, *_), *_) = alike[0].arms.values()
    arms = " and ".join(map(str, alike[0].arms))
    allowed = (
        f"rewards that {cell.agent} can tell apart: it learns from the returns of whole episodes, "
        f"so at gamma 1 {arms} are one treatment for it, bit for bit"
    )
    other = next(iter(able), "cohort-ppo")
    hint = f"Write agent: {other}." if able else f"Write agents: [{other}], or gamma: 0.99."
    raise InvalidInput(f"{where}.contrast", said.contrast.written, allowed, hint)


def _alike(compared: Compared) -> bool:
    """True if the arms of a comparison differ in timing alone, which its agent does not see."""
    arms = [cells[0] for cells in compared.arms.values() if cells]
    blind = (blind_to_timing(cell.agent, cell.gamma) for cell in arms)
    if compared.columns != ("reward",) or len(arms) < 2 or not all(blind):
        return False
    paid = {without_timing(place_of(cell.reward)) for cell in arms}
    return len(paid) == 1 and None not in paid


def _lacking(contrast: Contrast) -> str:
    """The line that a study lacks to hold all arms of a contrast."""
    if contrast.kind in KINDS:
        return contrast_kind(contrast.kind).line
    if contrast.name == "interaction":
        return "every level of {} with every level of {}".format(*contrast.factors)
    return f"the levels of {contrast.factors[0]} with all else equal"


def _one_of(field: str, value: Any, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise InvalidInput(field, value, ", ".join(known), did_you_mean(value, known))


def _check_params(said: Hypothesis, where: str, cells: Sequence[Cell]) -> None:
    """Refuse a factor that no cell here has, and a level that none takes."""
    records = [levels_of(cell) for cell in cells]
    columns = dict.fromkeys(column for record in records for column in record)
    for name, value in said.params.items():
        column = column_of(name, columns)
        if column is None:
            names = list(dict.fromkeys(factor_of(c).name for c in columns))
            raise InvalidInput(f"{where}.params", name, ", ".join(names), did_you_mean(name, names))
        levels = list(dict.fromkeys(r[column] for r in records if r.get(column) is not None))
        if level_in(column, value) not in levels:
            allowed = ", ".join(map(written_level, levels))
            raise InvalidInput(f"{where}.params.{name}", value, f"one of {allowed}")


def _check_measure(said: Hypothesis, where: str, cells: Sequence[Cell]) -> None:
    """Refuse a measure that is no metric or of nowhere, and a line that it can never cross."""
    known = [*list_metrics(), SHARE_BEYOND]
    stem = unshifted(said.compared)
    if is_shifted(said.compared) and not any(cell.shift for cell in cells):
        allowed = f"{stem}, or a study that measures agents in another configuration too"
        hint = "Write worlds: [{id: ..., shift: {PARAMETER: VALUE}}]."
        raise InvalidInput(f"{where}.measure", said.compared, allowed, hint)
    if stem not in known:
        allowed = f"one of {', '.join(known)}"
        raise InvalidInput(
            f"{where}.measure", said.compared, allowed, did_you_mean(said.compared, known)
        )
    if said.compared == SHARE_BEYOND or said.contrast.name not in (*ONE_ARM, "threshold"):
        return
    low, high = metric_of(said.compared).bounds
    if not low <= said.held_against <= high:
        field = {"tail": "contrast.tail", "threshold": "contrast.line"}.get(
            said.contrast.name, "line"
        )
        allowed = f"{low:g} to {high:g}, between which {said.compared} lies"
        raise InvalidInput(f"{where}.{field}", said.held_against, allowed)


def in_units(measure: str) -> bool:
    """True if a measure is in units of acquisition, so that a width of W is its scale."""
    return measure != SHARE_BEYOND and metric_of(measure).unit == "units"


def _check_margin(said: Hypothesis, where: str) -> None:
    """Refuse a margin in widths of W, written or by default, of what is not in units."""
    margin = said.smallest
    if margin is None or not margin.widths or in_units(said.compared):
        return
    unit = "" if said.compared == SHARE_BEYOND else metric_of(said.compared).unit
    allowed = (
        f"a number > 0, the smallest effect of interest{f' in {unit}' if unit else ''}: "
        f"{said.compared} is not in units of acquisition, so no width of W is its scale"
    )
    written = None if said.margin is None else margin.written
    raise InvalidInput(f"{where}.margin", written, allowed, "Write margin: 0.1.")


def _check_arm(said: Hypothesis, where: str, cells: Sequence[Cell]) -> None:
    """Refuse a level without its arm, an arm that is not there, and an arm without a level."""
    there = list(dict.fromkeys(cell.reward_label for cell in cells))
    if said.contrast.name not in ONE_ARM and said.arm is not None:
        allowed = f"no value: {said.contrast} says which arms are compared"
        raise InvalidInput(f"{where}.arm", said.arm, allowed, "Write contrast: level.")
    if said.contrast.name in ONE_ARM and said.arm not in there:
        hint = did_you_mean(said.arm, there) if said.arm else f"Write arm: {there[0]}."
        raise InvalidInput(f"{where}.arm", said.arm, f"one of {', '.join(there)}", hint)


def _check_factors(said: Hypothesis, where: str, cells: Sequence[Cell]) -> None:
    """Refuse a factor that is none or does not vary here, and a level that no cell has."""
    contrast = said.contrast
    records = [r for r in map(levels_of, cells) if concerns_cell(said, r)]
    varied = varied_factors(records)
    names = list(dict.fromkeys(factor_of(column).name for column in varied))
    where = f"{where}.contrast"
    where, field = (
        (f"{where}.of", "factor") if contrast.name == "budget" else (where, contrast.name)
    )
    field = f"{where}.{field}"
    for name in contrast.factors:
        column = column_of(name, {column for record in records for column in record})
        if column is None:
            allowed = f"a factor of this study: {', '.join(names) or 'none varies'}"
            raise InvalidInput(field, name, allowed, did_you_mean(name, names))
        if column not in varied:
            only = next((record[column] for record in records if column in record), None)
            allowed = f"a factor with two or more levels here: {', '.join(names) or 'none varies'}"
            hint = (
                f"{name} is {written_level(only)} in every cell; give the study two values of it."
            )
            raise InvalidInput(field, name, allowed, hint)
        levels = list(dict.fromkeys(r[column] for r in records if r.get(column) is not None))
        _check_levels(contrast, where, column, levels)


def _check_levels(contrast: Contrast, where: str, column: str, levels: Sequence[Level]) -> None:
    name, shown = factor_of(column).name, ", ".join(map(written_level, ordered(levels) or levels))
    if not contrast.of_factor:
        if not ordered(levels):
            allowed = f"a factor whose levels are numbers (those of {name} are {shown})"
            raise InvalidInput(f"{where}.{contrast.name}", name, allowed)
        return
    ends = {"low": contrast.low, "high": contrast.high}
    for end, value in ends.items():
        if value is None and not ordered(levels):
            allowed = f"one of {shown}: they have no order, so both ends must be named"
            raise InvalidInput(f"{where}.{end}", None, allowed)
        if value is not None and level_in(column, value) not in levels:
            raise InvalidInput(f"{where}.{end}", value, f"one of {shown}")
    if contrast.low is not None and contrast.low == contrast.high:
        raise InvalidInput(f"{where}.high", contrast.high, f"another level than low: {shown}")


def varied_factors(records: Sequence[Mapping[str, Level]]) -> list[str]:
    """Columns that take two or more levels within a world; settings within an agent there."""
    seen: dict[tuple[str, Level, Level], set[Level]] = {}
    for record in records:
        for column, level in record.items():
            if column not in ("world", "version"):
                own = column.startswith(PREFIX["agent"])
                agent = agent_id(str(record["agent"])) if own else None
                seen.setdefault((column, record["world"], agent), set()).add(level)
    return list(dict.fromkeys(column for (column, *_), found in seen.items() if len(found) > 1))


def plain(said: Hypothesis) -> dict[str, Any]:
    """A hypothesis with nothing left to defaults that may change, as plain JSON values."""
    margin = None if said.smallest is None else said.smallest.written
    return said.model_dump(mode="json") | {"measure": said.compared, "margin": margin}


def across_settings(columns: Sequence[str]) -> bool:
    """True if arms that differ in these columns lie in different settings of a world.

    Then what need is differs between them, and no constant cancels.
    """
    return any(factor_of(column).of == "world" or column == "shift" for column in columns)
