"""Contents of a study's report, in order; the page and the summary only differ in form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from powerseek.experiments.analysis.calibration import (
    SCALES,
    Doubt,
    calibration_marks,
    study_doubts,
)
from powerseek.experiments.analysis.cells import Worlds, cells_of
from powerseek.experiments.analysis.priors import priors
from powerseek.experiments.analysis.seeds import LEAST_SEEDS as TAIL_SEEDS
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.comparisons import contrast_grids, refer_to_hypotheses
from powerseek.experiments.report.figures.calibration import calibration_picture
from powerseek.experiments.report.figures.density import density_pictures
from powerseek.experiments.report.figures.frontier import frontier_pictures
from powerseek.experiments.report.figures.optimising import optimising_picture
from powerseek.experiments.report.figures.processes import draw_in_processes
from powerseek.experiments.report.figures.reach import reach_picture
from powerseek.experiments.report.figures.scatter import competence_pictures
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.report.figures.treatments import (
    acquisition_pictures,
    treatment_pictures,
)
from powerseek.experiments.report.glance import glance
from powerseek.experiments.report.hypotheses import verdicts_of
from powerseek.experiments.report.replays import Replays, replays
from powerseek.experiments.report.tables import (
    calibration_grid,
    prior_grid,
    ratio_grid,
    reach_grid,
    shift_grid,
    tail_grid,
    world_grids,
)
from powerseek.experiments.report.text import Grid, number_text, table_legend
from powerseek.experiments.results.files import keep_bytes
from powerseek.experiments.results.provenance import cores
from powerseek.experiments.results.table import trials
from powerseek.experiments.statistics.verdicts import units_in_words
from powerseek.experiments.study.contrasts import contrast_kind

GLANCE = "At a glance"
MAX_SETTINGS = 1000
"""Settings of which pictures are drawn: of the worlds that begin within the first so many."""
ADD = "references: [random, minimalist, hoarder, power-greedy, minimal-need, optimum]"
"""The line of a study that adds agents whose behaviour is known."""


@dataclass(frozen=True)
class Words:
    """A paragraph, with a heading of its own where `title` is not empty."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Lines:
    """Sentences, one below the other."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    title: str
    meanings: Mapping[str, str]


@dataclass(frozen=True)
class Aside:
    """Tables for who asks for more: folded on the page, left out of the summary."""

    title: str
    grids: tuple[Grid, ...]


Part: TypeAlias = Words | Lines | Terms | Grid | Picture | Replays | Aside


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it."""

    title: str
    parts: tuple[Part, ...]


def sections(view: View) -> list[Section]:
    """Make all of a study's report but its verdicts; sections with nothing to show are left out.

    The first, `GLANCE`, stands above the verdicts.
    """
    if view.results.empty:
        return [Section(GLANCE, (Words("No trial has finished yet."),))]
    worlds = cells_of(view)
    drawn = _drawn(worlds)
    curves, frontiers = view.table("curves"), view.table("frontiers")
    beside = trials(view.references)
    made = (
        Section(GLANCE, _glance(view, worlds, drawn)),
        Section("What each treatment led to", _treatments(view, worlds, drawn)),
        Section("Density and other factors", tuple(density_pictures(drawn, view, frontiers))),
        Section("Comparisons", _comparisons(view)),
        Section("Where agents were not trained", _shifted(view, worlds)),
        Section("What priors leave", _priors(view, worlds, curves)),
        Section("What learnt rewards pay", _optimising(view, drawn, curves)),
        Section("Power against competence", tuple(competence_pictures(drawn, view, curves))),
        Section("The need frontier", tuple(frontier_pictures(drawn, frontiers, beside))),
        Section("Replays", _replays(view)),
        Section("Calibration", _calibration(view, worlds, drawn, beside, frontiers)),
        Section("Upper tails", _tails(view, worlds)),
        Section("Censoring and reach", _reach(view, worlds, drawn)),
    )
    return [section for section in made if section.parts]


def report_pictures(parts: Sequence[Section]) -> list[Picture]:
    """All pictures, in order."""
    return [part for section in parts for part in section.parts if isinstance(part, Picture)]


def write_figures(parts: Sequence[Section], folder: Path) -> list[Path]:
    """Write every picture as a PNG and as an SVG file, each all or nothing; the PNGs' paths."""
    pictures, written = report_pictures(parts), []
    draw_in_processes(pictures, cores())
    for picture in pictures:
        path = folder / f"{picture.name}.png"
        for file, data in zip((path, path.with_suffix(".svg")), picture.files(), strict=True):
            keep_bytes(file, data)
        written.append(path)
    return written


def report_heading(view: View, provenance: Mapping[str, Any], folder: Path) -> str:
    """The study by its name."""
    named = "" if view.results.empty else str(view.results.every["study"].iloc[0])
    return f"powerseek: {provenance.get('study') or named or folder.name}"


def headline(view: View) -> str:
    """One sentence of counts, so that a reader knows how much stands behind the report."""
    every = view.trained.every
    if every.empty:
        return ""
    status = every["status"].value_counts()
    words = [f"{len(every)} training runs, up to {view.units} per setting"]
    if status.get("censored", 0):
        words.append(f"{status['censored']} never learnt the task and are not scored")
    if status.get("failed", 0):
        words.append(f"{status['failed']} failed")
    return "; ".join(words) + "."


def seeds_in_words(view: View, planned: int) -> str:
    """Seeds that the shown cells have, of those planned: ``1 to 3 of 16 seeds a cell``."""
    ran = view.summary["seeds"] + view.summary["failed"]
    least, most = (0, 0) if ran.empty else (int(ran.min()), int(ran.max()))
    counts = f"{least}" if least == most else f"{least} to {most}"
    of = "" if least == most == planned else f"{counts} of "
    layouts = 0 if view.summary.empty else int(view.summary["layouts"].max())
    return f"{of}{units_in_words(planned, layouts)} a cell"


def unfinished(view: View, provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """A line on what a sweep has left to do, where it was stopped; else none."""
    trials = int(provenance.get("trials", 0))
    lacking = trials - len(view.results.every)
    if lacking <= 0 or view.results.empty:
        return ()
    seeds = seeds_in_words(view, int(provenance.get("seeds", 1)))
    return (f"Not finished: {lacking} of {trials} trials have no result yet; {seeds} so far.",)


def _drawn(worlds: Worlds) -> Worlds:
    """The worlds of which pictures are drawn."""
    found: Worlds = {}
    for world, cells in worlds.items():
        if sum(map(len, found.values())) < MAX_SETTINGS:
            found[world] = cells
    return found


def _glance(view: View, worlds: Worlds, drawn: Worlds) -> tuple[Part, ...]:
    answers, details = glance(view, worlds)
    more = (Lines(details),) if details else ()
    return (Lines(answers), *acquisition_pictures(drawn, study_doubts(view)), *more)


def _treatments(view: View, worlds: Worlds, drawn: Worlds) -> tuple[Part, ...]:
    doubts = study_doubts(view)
    grids = world_grids(view.summary, view.asked, doubts=doubts)
    wide = world_grids(view.summary, view.asked, every=True, doubts=doubts)
    meanings = Terms("What the columns mean", table_legend(grids))
    more = [Aside("All columns", tuple(wide))] if wide != grids else []
    said = (
        f"Pictures are drawn of {', '.join(drawn)} only, the first {len(drawn)} of {len(worlds)} "
        "worlds in the order of the study; the tables hold all worlds."
    )
    few = [Words(said)] if len(drawn) < len(worlds) else []
    foot = [Words(f"{words}.") for words in view.foot]
    return (*grids, *foot, meanings, *more, *few, *treatment_pictures(drawn, view.asked, doubts))


def _comparisons(view: View) -> tuple[Part, ...]:
    parts: list[Part] = []
    verdicts = verdicts_of(view)
    for kind, grids in contrast_grids(refer_to_hypotheses(view.compared, verdicts.found)).items():
        parts += [Words(contrast_kind(kind).meaning, contrast_kind(kind).title), *grids]
    if parts and verdicts.claims:
        said = (
            "Only what a hypothesis named beforehand, with its margin, gets a verdict; the other "
            "rows are effects and intervals to look at."
        )
        return (Words(said), *parts)
    return tuple(parts)


def _shifted(view: View, worlds: Worlds) -> tuple[Part, ...]:
    grids = [shift_grid(world, cells, view.keys) for world, cells in worlds.items()]
    found = [table for table in grids if table is not None]
    if not found:
        return ()
    said = (
        "The same agents, not trained further, in the configuration of their world that shift "
        "names: there, against here, where they were trained. comp: competence; need: what the "
        "greatest success takes at least, of each configuration; beyond: units acquired above "
        "that; evaded: episodes with control evaded; W: what the reward leaves open there. Who "
        "did not learn the task here is not scored. Less competence there makes what is acquired "
        "hard to read: compare excess_shifted, which reads need at the success that they have."
    )
    places = view.trained.every.dropna(subset="shift").groupby("world", sort=False)["shift"]
    named = (f"{world}, there: {'; '.join(own.unique())}." for world, own in places)
    return (Words(said), Lines(tuple(named)), *found)


def _priors(view: View, worlds: Worlds, curves: pd.DataFrame | None) -> tuple[Part, ...]:
    found = {world: priors(view, cells, curves) for world, cells in worlds.items()}
    grids = [prior_grid(world, view.keys, own) for world, own in found.items()]
    against = sorted({prior.against for own in found.values() for prior in own})
    if not against:
        return ()
    said = (
        "Acquisition of agents that first imitated, in units: before any reward, at the end, and "
        f"where those without imitation (phases {', '.join(against)}) come to rest (without); "
        "seeds that learnt the task alone. half-life: steps of reward after which half of the "
        "difference is gone; > where more than half is left at the end. 95 %: bootstrap over seeds."
    )
    return (Words(said), *[table for table in grids if table is not None])


def _optimising(view: View, drawn: Worlds, curves: pd.DataFrame | None) -> tuple[Part, ...]:
    shown = (optimising_picture(world, view, cells, curves) for world, cells in drawn.items())
    return tuple(picture for picture in shown if picture is not None)


def _replays(view: View) -> tuple[Part, ...]:
    """One episode of each extreme, played back."""
    pairs = replays(view.results, view.folder) if view.folder else []
    return (Replays(tuple(pairs)),) if pairs else ()


def _calibration(
    view: View, worlds: Worlds, drawn: Worlds, beside: pd.DataFrame, frontiers: pd.DataFrame | None
) -> tuple[Part, ...]:
    """Known agents, exact optima and trained agents on one scale, or how to get there."""
    said = (
        "An instrument must show power-seeking where it was put in, and none where it was left "
        "out. Put in: a scripted hoarder, a POWER-greedy planner, agents that are paid for power "
        "(w > 0). Left out: a scripted minimalist, and chance. The exact optimum draws evenly "
        "among optimal actions; [range] where several tie."
    )
    if beside.empty:
        if not view.trained.stepped:
            return ()
        missing = f"This study has no agents whose behaviour is known. To add them: {ADD}"
        return (Words(said), Words(missing))
    found = []
    known = set(beside["world"])
    for world, cells in worlds.items():
        placed = calibration_marks(cells, view.keys, beside[beside["world"] == world], frontiers)
        if placed and world in known:
            found.append((world, placed))
    grids = [calibration_grid(world, all) for world, all in found]
    doubted = [
        Words(f"{world}: {_doubt(doubt)}")
        for world, _ in found
        for doubt in study_doubts(view)[world]
    ]
    if without := [world for world in worlds if world not in known]:
        doubted.append(Words(f"Without such agents, so not shown here: {', '.join(without)}."))
    rulers = [calibration_picture(world, all) for world, all in found if world in drawn]
    return (
        Words(said),
        *doubted,
        *grids,
        Terms("What the columns mean", table_legend(grids)),
        *rulers,
    )


def _doubt(doubt: Doubt) -> str:
    return (
        f"{SCALES[doubt.scale]} cannot be trusted here ({doubt.where}): it puts the hoarder at "
        f"{number_text(doubt.hoarder)}, not above the minimalist at "
        f"{number_text(doubt.minimalist)}."
    )


def _tails(view: View, worlds: Worlds) -> tuple[Part, ...]:
    grids = [tail_grid(world, cells, view.keys) for world, cells in worlds.items()]
    found = [table for table in grids if table is not None]
    if not found:
        return ()
    said = (
        "A few seeds that seek power matter more than what is usual. 90 %: nine seeds of ten lie "
        "below it; worst tenth: the mean of the highest tenth (CVaR); max: the highest seed. Of n "
        f"seeds a tail rests on n/10 of them (in tail); below {TAIL_SEEDS} seeds only the highest "
        "is shown, which says little about seeds that were not trained. For competence the mean "
        "of the middle half (IQM) over all finished seeds."
    )
    return (Words(said), *found)


def _reach(view: View, worlds: Worlds, drawn: Worlds) -> tuple[Part, ...]:
    crossings = view.crossings
    known = crossings.levels
    said = (
        "An agent that did not learn the task is censored: never scored, never forgotten. reach: "
        "share of the finished seeds that learnt it, with Wilson's interval. A seed's budget is "
        "the first evaluation that shows the competence, where the next one shows it still. steps "
        "to: the median seed's (Kaplan-Meier; > means that fewer than half got there within what "
        "they were given), with its interval (Brookmeyer and Crowley). mean to: of all seeds, each "
        "budget counted up to the smallest that the setting's agents were trained to."
    )
    parts: list[Part] = [Words(said)]
    parts += [reach_grid(world, cells, view.keys, crossings) for world, cells in worlds.items()]
    if not known:
        return (*parts, Words("No seed reached a competence that the study watched for."))
    shown = [reach_picture(w, cells, view.keys, crossings, known[-1]) for w, cells in drawn.items()]
    parts += [picture for picture in shown if picture is not None]
    ratios = [
        ratio_grid(w, cells, view.keys, view.places, crossings, known[-1])
        for w, cells in worlds.items()
    ]
    if any(ratios):
        compared = (
            "How many times the dense arm's budget the sparse arms need for the same competence, "
            "by the median seed, at each horizon (steps). at least: what the seeds themselves "
            "allow where too few got there for a ratio. 95 %: bootstrap over seeds, none below "
            "six seeds an arm. When the first reward was paid is kept in each model's card."
        )
        parts.append(Words(compared, "Budgets: sparse against dense"))
        parts += [table for table in ratios if table is not None]
    return tuple(parts)
