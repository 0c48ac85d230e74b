"""A study at a glance: what was found in each world, how sure that is, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.cells import Cell, Worlds
from powerseek.experiments.analysis.findings.finding import Finding
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.treatments import PARTS
from powerseek.experiments.report.hypotheses import verdicts_of
from powerseek.experiments.report.text import number_text

TINY = 0.005
"""Units that count as none."""
FEW = 0.05
"""Units a setting of which no shares are told: rounding would decide them."""


class Glance(NamedTuple):
    """A study in a few sentences.

    Attributes:
        answers: One a world, then the verdicts: what was found, how sure that is, what is next.
        details: One a world of which more is known: the same in numbers.
    """

    answers: tuple[str, ...]
    details: tuple[str, ...]


def glance(view: View, worlds: Worlds) -> Glance:
    """The study in a few sentences."""
    told = [line for world, cells in worlds.items() for line in _world(world, cells)]
    answers, details = ([line[i] for line in told if line[i]] for i in (0, 1))
    return Glance((*answers, _verdicts(view)), tuple(details))


def _world(world: str, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """What agents took in one world, and that beside what their rewards left open."""
    unpaid = [cell for cell in cells if not cell.row["power_weight"]] or list(cells)
    scored = [cell for cell in unpaid if cell.row["censored"] < cell.row["seeds"]]
    if not scored:
        reached = [value for cell in unpaid if isfinite(value := cell.row["competence"])]
        level = f" (competence {number_text(max(reached))} at most)" if reached else ""
        said = f"{world}: no agent learnt the task{level}, so nothing is said of what it acquired."
        return [(f"{said} Next: train longer (timesteps), or ask for less (competence).", "")]
    known = [cell for cell in scored if isfinite(cell.row["beyond"])]
    if not known:
        return _evaded(world, scored)
    least, most = (end(known, key=lambda cell: cell.row["beyond"]) for end in (min, max))
    ends = f"{_units(least, 'beyond')} ({least.label})"
    if most is not least:
        ends = f"from {ends} to {_units(most, 'beyond')} ({most.label})"
    text = f"{world}: agents took {ends} beyond what the greatest success needs"
    if most.row["beyond"] <= TINY:
        text += ": none took more than the task can use"
    return [(f"{text}.{_learnt(unpaid)}", f"{world}: {_own(known)}{_parts(known)}{_open(known)}")]


def _learnt(cells: Sequence[Cell]) -> str:
    """How many agents that leaves out, where it leaves out any."""
    seeds = sum(int(cell.row["seeds"]) for cell in cells)
    learnt = seeds - sum(int(cell.row["censored"]) for cell in cells)
    return (
        "" if learnt == seeds else f" {learnt} of {seeds} learnt the task; others are not scored."
    )


def _evaded(world: str, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """How often control is evaded in a world in which nothing else is known of power."""
    known = [cell for cell in cells if isfinite(cell.row["disabled"])]
    if not known:
        return []
    least, most = (end(known, key=lambda cell: cell.row["disabled"]) for end in (min, max))
    ends = f"{least.row['disabled']:.0%} ({least.label})"
    if most is not least:
        ends = f"{ends} to {most.row['disabled']:.0%} ({most.label})"
    text = in_words(f"{world}: {ends} of episodes with {{off_switch}}", [world])
    optima = [value for cell in known if isfinite(value := cell.row["optimum_disabled"])]
    if optima:
        low, high = (f"{end(optima):.0%}" for end in (min, max))
        text += f"; of the exact optima's {low if low == high else f'{low} to {high}'}"
    return [(f"{text}.", "")]


def _units(cell: Cell, measure: str) -> str:
    return f"{number_text(cell.row[measure], signed=True)} units"


def _own(cells: Sequence[Cell]) -> str:
    """The other end of the bracket."""
    values = [cell.row["excess"] for cell in cells]
    low, high = (number_text(end(values), signed=True) for end in (min, max))
    range = low if low == high else f"{low} to {high}"
    return f"beyond what their own success needs agents took {range} units. "


def _parts(cells: Sequence[Cell]) -> str:
    """The share of each kind in what was taken beyond what pays."""
    units = {name: sum(cell.row[name] for cell in cells) for name in PARTS}
    whole = sum(units.values())
    if not isfinite(whole) or whole < FEW * len(cells):
        return ""
    shares = [f"{100 * amount / whole:.0f} % {name}" for name, amount in units.items()]
    return f"Of what bought under .02 of success a unit, {', '.join(shares)}. "


def _open(cells: Sequence[Cell]) -> str:
    """Units that the rewards leave open, from the least to the most."""
    rows = [cell.row for cell in cells if isfinite(cell.row["constraint_low"])]
    if not rows:
        return ""
    widths = [row["constraint_high"] - row["constraint_low"] for row in rows]
    low, high = number_text(min(widths)), number_text(max(widths))
    return f"Their rewards leave {low if low == high else f'{low} to {high}'} units open (W)."


def _verdicts(view: View) -> str:
    """The answers, counted, and the next step."""
    verdicts = verdicts_of(view)
    answers = Counter(one.verdict.answer for one in verdicts.found)
    if not answers:
        return (
            f"How sure: {view.units} a setting, effects with intervals, no verdict, for no "
            "hypothesis was named before it ran. Next: name one under hypotheses: in the study's "
            "file; powerseek plan FILE says how many seeds can answer it."
        )
    counted = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    return f"Verdicts: {counted}.{_next(verdicts.found)}"


def _next(found: Sequence[Finding]) -> str:
    """What would change most of the verdicts that cannot tell; none where all can."""
    advice = Counter(words for one in found for words in one.verdict.advice)
    if not advice:
        return ""
    words, count = advice.most_common(1)[0]
    more = "; what others lack stands beside them" if len(advice) > 1 else ""
    return f" Next, for {count} of those that cannot tell: {words}{more}."
