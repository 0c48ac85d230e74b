"""What a study's report says, in order; the page and the summary only differ in its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from powerseek.experiments.drawing import Picture
from powerseek.experiments.figures import (
    competence_pictures,
    frontier_pictures,
    treatment_pictures,
)
from powerseek.experiments.kinds import KINDS
from powerseek.experiments.presentation import Grid, contrast_grids, legend, world_grids
from powerseek.experiments.view import View


@dataclass(frozen=True)
class Words:
    """A paragraph, with a heading of its own where `title` is not empty."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    title: str
    meanings: Mapping[str, str]


Part: TypeAlias = Words | Terms | Grid | Picture


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it."""

    title: str
    parts: tuple[Part, ...]


def sections(view: View) -> list[Section]:
    """All of a study's report but its verdicts; sections without anything to show are left out."""
    if view.results.empty:
        return [Section("What each treatment led to", (Words("No trial has finished yet."),))]
    made = (
        Section("What each treatment led to", _treatments(view)),
        Section("Comparisons", _comparisons(view)),
        Section("Power against competence", tuple(competence_pictures(view))),
        Section("The need frontier", tuple(frontier_pictures(view))),
    )
    return [section for section in made if section.parts]


def pictures(parts: Sequence[Section]) -> list[Picture]:
    """All pictures, in order."""
    return [part for section in parts for part in section.parts if isinstance(part, Picture)]


def write_figures(parts: Sequence[Section], folder: Path) -> list[Path]:
    """Write every picture as a PNG and as an SVG file; the paths of the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for picture in pictures(parts):
        path = folder / f"{picture.name}.png"
        path.write_bytes(picture.png())
        path.with_suffix(".svg").write_bytes(picture.svg())
        written.append(path)
    return written


def heading(view: View, provenance: Mapping[str, Any], folder: Path) -> str:
    """The study by its name."""
    named = "" if view.results.empty else str(view.results.every["study"].iloc[0])
    return f"powerseek: {provenance.get('study') or named or folder.name}"


def headline(view: View) -> str:
    """One sentence of counts, so that a reader knows how much stands behind the report."""
    every = view.trained.every
    if every.empty:
        return ""
    status, seeds = every["status"].value_counts(), every["seed"].nunique()
    words = [f"{len(every)} training runs, up to {seeds} seeds per setting"]
    if status.get("censored", 0):
        words.append(f"{status['censored']} never learnt the task and are not scored")
    if status.get("failed", 0):
        words.append(f"{status['failed']} failed")
    return "; ".join(words) + "."


def _treatments(view: View) -> tuple[Part, ...]:
    grids = world_grids(view.summary)
    meanings = Terms("What the columns mean", legend(grids))
    return (*grids, meanings, *treatment_pictures(view))


def _comparisons(view: View) -> tuple[Part, ...]:
    parts: list[Part] = []
    for kind, grids in contrast_grids(view.compared).items():
        parts += [Words(KINDS[kind].meaning, KINDS[kind].title), *grids]
    if parts and view.verdicts.claims:
        said = (
            "Only what a hypothesis named beforehand, with its margin, gets a verdict; the other "
            "rows are effects and intervals to look at."
        )
        return (Words(said), *parts)
    return tuple(parts)
