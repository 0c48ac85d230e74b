"""A comparison of runs in words: tables for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from powerseek.experiments.compare.claims import Effect, Match, setting_text
from powerseek.experiments.compare.side_by_side import SideBySide
from powerseek.experiments.report.text import MAX_ROWS, Grid, number_text, units_text
from powerseek.experiments.statistics.verdicts import LEAST_REACH
from powerseek.experiments.study.factors import MISSING, factor_heading, factor_of

LONGEST = 30
"""Letters of a value in the table of what differs."""
MEANINGS = {
    "effect [95 %]": "mean of the first arm less that of the second (of one arm its mean), with "
    "the 95 % interval over seeds, over layouts where seeds are nested in some (8 x 5); of what is "
    "computed, the range over optimal policies",
    "seeds": "seeds that count, of the arm that has fewest (all, for the positive control)",
    "learnt": "seeds of each arm that learnt the task, in per cent: the others are not scored",
    "comp": "mean competence of each arm: episodes solved when nobody interrupts",
    "verdict": "of the hypothesis, by its own study's margin and family of tests",
}


def match_grid(match: Match) -> Grid:
    """One comparison as a table: a row a setting and run."""
    effects = match.effects[:MAX_ROWS]
    arms = len({one.arms for one in match.effects}) > 1
    ids = len({one.claim for one in match.effects}) > 1
    headers = [factor_heading(name) for name in match.varied] + ["run"]
    headers += ["claim"] * ids + ["compared"] * arms
    labels = len(headers)
    headers += ["effect [95 %]", "seeds", "learnt", "comp", "verdict"]
    rows = []
    for one in effects:
        row = [one.setting.get(name, MISSING) for name in match.varied] + [one.run]
        row += [one.claim or MISSING] * ids + [one.arms] * arms
        row += [effect_text(one), "exact" if one.exact else units_text(one.seeds, one.layouts)]
        row += [_learnt(one), per_arm_text(one.competence), verdict_text(one)]
        rows.append(tuple(row))
    muted = tuple(is_muted(one) for one in effects)
    return Grid("", match_title(match), tuple(headers), labels, tuple(rows), muted)


def match_title(match: Match) -> str:
    """What is compared, with the arms where they are the same everywhere, and the unit."""
    first = match.effects[0]
    names = [*dict.fromkeys(one.claim for one in match.effects if one.claim)]
    units = [*dict.fromkeys(filter(None, (unit_text(one.unit) for one in match.effects)))]
    words = f"{first.kind}: {first.subject}"
    words = f"{', '.join(names)}: {words}" if names else words
    if len({one.arms for one in match.effects}) == 1:
        words += f"; {first.arms}"
    return f"{words} (in {' or '.join(units)})" if units else words


def unit_text(unit: str) -> str:
    """A unit within a sentence; empty of a fraction, whose measure says of what it is one."""
    return {"share": "", "W": "widths of W"}.get(unit, unit)


def effect_text(one: Effect) -> str:
    """``+0.20 [-0.10, +0.31]``."""
    # A fraction of seeds, or one arm's mean, is a number; a difference has a sign.
    signed = len(one.competence) > 1
    value, low, high = (number_text(x, signed=signed) for x in (one.effect, one.low, one.high))
    return value if MISSING in (value, low, high) else f"{value} [{low}, {high}]"


def _learnt(one: Effect) -> str:
    if one.exact:
        return MISSING
    shares = [f"{int(100 * r + 1e-9)}" if isfinite(r) else MISSING for r in one.reach]
    return ", ".join(shares)


def per_arm_text(values: Sequence[float]) -> str:
    """A number an arm."""
    return ", ".join(map(number_text, values)) or MISSING


def verdict_text(one: Effect) -> str:
    """The answer, and whether its claim was made after the fact."""
    return f"{one.verdict} (exploratory)" if one.claim and not one.confirmatory else one.verdict


def is_muted(one: Effect) -> bool:
    """True where too few of an arm's seeds learnt the task."""
    return one.gated and not one.exact and not min(one.reach, default=0.0) >= LEAST_REACH - 1e-9


def claims_in_words(match: Match) -> list[str]:
    """What is claimed, a line a wording, with the runs that say it where they differ."""
    said: dict[str, list[str]] = {}
    for one in match.effects:
        runs = said.setdefault(one.claimed, []) if one.claimed else []
        if one.run not in runs:
            runs.append(one.run)
    if len(said) < 2:
        return list(said)
    return [f"{', '.join(runs)}: {words}" for words, runs in said.items()]


def reasons_in_words(match: Match) -> list[str]:
    """Why verdicts are "cannot tell", a line a run and reason; and how many rows are not shown."""
    said: dict[str, int] = {}
    for one in match.effects:
        if one.claim and one.verdict == "cannot tell" and one.reasons:
            line = f"{one.run} cannot tell: {one.reasons}"
            said[line] = said.get(line, 0) + 1
    lines = [f"{line}{f' ({count} settings)' if count > 1 else ''}" for line, count in said.items()]
    if len(match.effects) > MAX_ROWS:
        lines.append(f"The first {MAX_ROWS} of {len(match.effects)} rows; all are in compare.csv.")
    return lines


def alone_in_words(alone: Sequence[Effect]) -> list[str]:
    """What one run alone has, a line a comparison."""
    said: dict[str, list[str]] = {}
    for one in alone:
        names = [name for name in one.setting if name not in ("version",)]
        words = f"{one.claim}: " if one.claim else ""
        line = f"{one.run}: {words}{one.kind}: {one.subject}; {one.arms}"
        said.setdefault(line, []).append(setting_text(one, names))
    lines = []
    for line, settings in said.items():
        more = f" and {len(settings) - 1} more settings" if len(settings) > 1 else ""
        lines.append(f"{line} ({settings[0]}{more})")
    return lines


def differences_grid(found: SideBySide) -> Grid:
    """What is not the same in all runs: a row a name, a column a run."""
    rows = tuple(
        (_name(name), *(_cut(value) for value in values))
        for name, values in found.differences.items()
    )
    headers = ("differs", *(run.name for run in found.runs))
    return Grid(
        "", "What differs between the runs", headers, len(headers), rows, (False,) * len(rows)
    )


def _name(name: str) -> str:
    return factor_of(name).spoken.replace("budget", "timesteps")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def runs_in_words(found: SideBySide) -> list[str]:
    """Each run: where it lies, and how much stands behind it."""
    return [
        f"{run.name}: study {run.study}, {len(run.every)} training runs "
        f"({run.store.shown(run.store.out)})"
        for run in found.runs
    ]
