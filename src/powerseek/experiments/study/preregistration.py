"""A study's claims, fixed and hashed before its first trial, and every change since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.statistics.comparisons import LEVEL
from powerseek.experiments.statistics.families import look_levels
from powerseek.experiments.statistics.verdicts import LEAST_REACH, LEAST_SEEDS
from powerseek.experiments.study.grid import Cell, content_hash
from powerseek.experiments.study.hypotheses import plain
from powerseek.experiments.study.lint import defined_comparisons
from powerseek.experiments.study.schema import Hypothesis, Study, load_study


def registration(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """All that must not change once results are seen, as plain JSON values.

    Args:
        study: The study.
        cells: Its cells.
    """
    return {
        "hypotheses": [plain(hypothesis) for hypothesis in study.hypotheses],
        "primary": [
            [one.plain() for one in defined_comparisons(h, cells)] for h in study.hypotheses
        ],
        "exclusions": {
            "competence": max(study.competence),
            "least_reach": LEAST_REACH,
            "least_seeds": LEAST_SEEDS,
        },
        "level": LEVEL,
        "seeds": study.seeds,
        "looks": study.planned_looks,
        **({"layouts": study.layouts} if study.layouts else {}),
        "cells": sorted(cell.key for cell in cells),
    }


def registration_content(
    held: Mapping[str, Any], content: Mapping[str, Any], hash: str, begun: bool, now: str
) -> dict[str, Any]:
    """The content of the registration's file from now on.

    Args:
        held: What it holds; empty where there is none.
        content: What is to be registered, from `registration`.
        hash: Hash of the content.
        begun: Whether a trial may have begun.
        now: The time, ISO 8601.

    Returns:
        `held` itself where nothing changed. Before the first trial a new registration takes the
        place of the old one; after it the change is added and the first one stays.
    """
    if not held or not begun:
        if held and held.get("hash") == hash:
            return dict(held)
        return {"hash": hash, "date": now, "late": begun, "registered": content, "changes": []}
    changes = list(held.get("changes", []))
    if hash == (changes[-1] if changes else held).get("hash"):
        return dict(held)
    before = held.get("registered", {}) if not changes else changes[-1]["content"]
    before = {"looks": [before.get("seeds")], **before}  # one look, before looks were registered
    what = [name for name in content if before.get(name) != content[name]]
    changes.append({"hash": hash, "date": now, "changed": what, "content": dict(content)})
    return {**held, "changes": changes}


@dataclass(frozen=True)
class Claim:
    """A hypothesis and how it stands to the registration.

    Attributes:
        hypothesis: The claim.
        settings: In how many settings it is to be tested, 0 where that is not known.
        confirmatory: Whether it was registered before the first trial.
        note: What a reader must know of its standing; empty where all is well.
        seeds: Seeds of every cell by the latest registration, 0 where that is not known.
        level: The error rate of all confirmatory claims at this look.
        gate: Competence below which a trial is not scored; nan where that is not known.
        layouts: Layouts in which the seeds are nested, 0 where they are not.
    """

    hypothesis: Hypothesis
    settings: int = 0
    confirmatory: bool = True
    note: str = ""
    seeds: int = 0
    level: float = LEVEL
    gate: float = nan
    layouts: int = 0


@dataclass(frozen=True)
class Registration:
    """The registration of a results directory, and what has become of it.

    Attributes:
        hash: Hash of what was registered first.
        date: When, ISO 8601; empty where there is no registration.
        claims: Registered claims in their order, then those changed or added since.
        gate: Competence below which a trial is not scored.
        notes: What changed since, in plain words.
        looks: Numbers of seeds at which verdicts were planned to be read, rising.
    """

    hash: str
    date: str
    claims: tuple[Claim, ...]
    gate: float
    notes: tuple[str, ...]
    looks: tuple[int, ...] = ()


CHANGED = "changed after the first trial, so exploratory"
DROPPED = "as registered; it has since been changed or taken out of the study"
LATE = "registered after the first trial, so exploratory"
ADDED = "exploratory: seeds were added after a look"
BROKEN = "its registration does not match its own hash, so exploratory"


def read_registration(out: Path | str) -> Registration | None:
    """Read the registration of a results directory; None if there is none.

    Raises:
        InvalidInput: The registration cannot be read.
    """
    folder = Path(out)
    held = _registration_at(folder, None)
    now = _current(folder)
    if not held:
        late = tuple(Claim(h, confirmatory=False, note=LATE) for h in now or ())
        return Registration("", "", late, 0.9, ("There is no registration.",)) if late else None
    content = held["registered"]
    first = [Hypothesis.model_validate(h) for h in content["hypotheses"]]
    counts = [len(found) for found in content["primary"]]
    changes = held["changes"]
    if now is None:
        latest = changes[-1]["content"] if changes else content
        now = [Hypothesis.model_validate(h) for h in latest["hypotheses"]]
    kept = [plain(hypothesis) for hypothesis in now]
    seeds = int((changes[-1]["content"] if changes else content)["seeds"])
    levels = look_levels(content.get("looks") or [content["seeds"]], LEVEL)
    broken = content_hash(content) != held["hash"] or not _as_written(folder)
    flaw = BROKEN if broken else LATE if held["late"] else ""
    standing = flaw or (ADDED if seeds not in levels else "")
    layouts = int(content.get("layouts") or 0)
    level, gate = levels.get(seeds, LEVEL), content["exclusions"]["competence"]
    claims = []
    for h, count in zip(first, counts, strict=True):
        note = standing or ("" if plain(h) in kept else DROPPED)
        claims.append(Claim(h, count, not standing, note, seeds, level, gate, layouts))
    added = [h for h in now if plain(h) not in [plain(known) for known in first]]
    claims += [Claim(h, 0, False, CHANGED, seeds, gate=gate, layouts=layouts) for h in added]
    changed = bool(added) or len(kept) < len(first)
    planned = {"seeds"} if seeds in levels else set()
    notes = (
        *([f"The registration is not to be trusted: {flaw}."] if flaw else []),
        *_notes(changes, content, changed, planned),
    )
    return Registration(held["hash"], held["date"], tuple(claims), gate, notes, tuple(levels))


def _notes(
    changes: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
    changed: bool,
    planned: set[str],
) -> Iterator[str]:
    told = False
    for change in changes:
        when, seeds = spoken_date(change["date"]), change["content"]["seeds"]
        # Looks that follow the number of seeds change with it.
        apart = {"seeds", "primary"} | ({"looks"} if "seeds" in change["changed"] else set())
        what = [name for name in change["changed"] if name not in apart]
        if what:
            told = told or "hypotheses" in what
            yield f"Changed after the first trial, on {when}: {', '.join(what)}."
        if "seeds" in change["changed"] and not planned:
            yield (
                f"Seeds were set to {seeds} on {when}, after the first trial "
                f"({content['seeds']} were registered): adding seeds until a verdict is reached "
                "makes it too easy to reach."
            )
    if changed and not told:
        yield "The study file's hypotheses changed after the first trial."


def spoken_date(date: str) -> str:
    """``2026-01-31 12:05 UTC`` of an ISO 8601 time in UTC."""
    return f"{date[:16].replace('T', ' ')} UTC"


def _current(folder: Path) -> list[Hypothesis] | None:
    """Hypotheses of the kept study file, None where it cannot be read."""
    try:
        return load_study(folder / layout.STUDY).hypotheses
    except InvalidInput:
        return None


class _Exclusions(checksums.Record):
    competence: float


class _Content(checksums.Record):
    hypotheses: list[Hypothesis]
    primary: list[list[Any]]
    exclusions: _Exclusions
    seeds: checksums.Count
    looks: list[checksums.Count] = []
    layouts: checksums.Count = 0


class _Change(checksums.Record):
    hash: str
    date: str
    changed: list[str]
    content: _Content


class _Held(checksums.Record):
    """Shape of the registration's file."""

    hash: str
    date: str
    late: bool
    registered: _Content
    changes: list[_Change]


def held_registration(folder: Path) -> dict[str, Any]:
    """The registration's file, as it was written; empty where there is none.

    Raises:
        InvalidInput: It cannot be read, is no registration, or is not as it was written.
    """
    return _registration_at(folder, checksums.checksummed(folder / layout.MANIFEST))


def _registration_at(folder: Path, required: bool | None) -> dict[str, Any]:
    path = folder / layout.REGISTRATION
    try:
        held = checksums.sealed_record(path, _Held, required)
        parts = [held["registered"]] if held else []
        if any(len(part["primary"]) != len(part["hypotheses"]) for part in parts):
            raise ValueError("it has other comparisons than hypotheses")
    except (OSError, ValueError) as error:
        allowed = f"the registration as the sweep wrote it ({error})"
        hint = f"Put back a sound copy, or remove {path}: its verdicts then count as exploratory."
        raise InvalidInput(path.name, str(path), allowed, hint) from None
    return held


def _as_written(folder: Path) -> bool:
    required = checksums.checksummed(folder / layout.MANIFEST)
    try:
        checksums.check(folder / layout.REGISTRATION, required)
    except checksums.Altered:
        return False
    return True
