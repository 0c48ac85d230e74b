"""Several finished studies side by side: what is compared, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from powerseek.errors import InvalidInput
from powerseek.experiments.compare.claims import (
    Effect,
    Match,
    claimed_effects,
    contrast_effects,
    match_effects,
)
from powerseek.experiments.compare.runs import Run, differences, open_runs, overlaps


@dataclass(frozen=True)
class SideBySide:
    """Several runs compared.

    Attributes:
        runs: The runs.
        differences: What is not the same in all of them: the values of each run, by name.
        notes: What a reader must know first: shared trials, missing hypotheses.
        matches: Comparisons that two runs or more have.
        alone: Effects that one run alone has.
    """

    runs: tuple[Run, ...]
    differences: dict[str, list[str]]
    notes: tuple[str, ...]
    matches: tuple[Match, ...]
    alone: tuple[Effect, ...]


def side_by_side(given: Sequence[str | Path]) -> SideBySide:
    """Compare finished studies: their hypotheses, or where they share none the standard contrasts.

    Nothing is pooled: an effect of each run, with its own interval.

    Args:
        given: Results directories, or addresses of such elsewhere; two or more.

    Raises:
        InvalidInput: Not two different finished studies, or nothing that two have in common.
        StoreError: One is of another format, or damaged.
    """
    runs = open_runs(given)
    notes = overlaps(runs)
    matches, alone = match_effects(runs, [one for run in runs for one in claimed_effects(run)])
    without = [run.name for run in runs if not run.view.findings]
    if without or not matches:
        why = (
            f"{' and '.join(without)} tested no hypothesis"
            if without
            else "these studies share no hypothesis"
        )
        notes.append(f"{why}, so the comparisons that every report makes are shown instead.")
        matches, alone = match_effects(runs, [one for run in runs for one in contrast_effects(run)])
    if not matches:
        has = "; ".join(
            f"{run.name} has {', '.join(_compared(run, alone)) or 'no comparison'}" for run in runs
        )
        allowed = f"runs that have a comparison in common ({has})"
        raise InvalidInput("RUN", [run.name for run in runs], allowed)
    return SideBySide(tuple(runs), differences(runs), tuple(notes), tuple(matches), tuple(alone))


def _compared(run: Run, alone: Sequence[Effect]) -> list[str]:
    """The comparisons of a run in words, each once."""
    return [*dict.fromkeys(f"{one.arms} on {one.measure}" for one in alone if one.run == run.name)]
