"""What a study claims, fixed and hashed before its first trial, and every change since."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.study.contrasts import KINDS, LEAST_SEEDS, Contrast, primary
from powerseek.experiments.study.errors import closest
from powerseek.experiments.study.schema import Hypothesis, Study, load_study

if TYPE_CHECKING:
    from powerseek.experiments.study.grid import Cell

LINES: dict[Contrast, str] = {
    "control": "power_weight: [0, 1]",
    "timing": "rewards: [dense, {every: cap}] and gamma: 1",
    "sparse": "rewards: [dense, terminal]",
    "specification": "rewards: [terminal, {coverage: 1}]",
    "lookahead": "rewards: [approval] and lookahead: [8, cap]",
    "openness": "openness: [0, 2] under a world",
    "horizon": "max_steps: [16, 32]",
    "discount": "gamma: [1, 0.8]",
    "level": "arm: dense",
}


def check_hypotheses(study: Study, grid: Sequence[Cell]) -> None:
    """Refuse a hypothesis about something that the study does not hold.

    Raises:
        InvalidInput: A world or a comparison the study does not have, or one claim twice.
    """
    seen: dict[str, int] = {}
    for i, hypothesis in enumerate(study.hypotheses):
        where = f"hypotheses[{i}]"
        worlds = list(dict.fromkeys(cell.world for cell in grid))
        if hypothesis.world is not None and hypothesis.world not in worlds:
            hint = closest(hypothesis.world, worlds)
            raise InvalidInput(f"{where}.world", hypothesis.world, ", ".join(worlds), hint)
        kind, world = hypothesis.contrast, hypothesis.world
        _check_arm(hypothesis, where, grid)
        if not any(True for _ in primary_claims(hypothesis, grid)):
            there = [name for name in KINDS if any(True for _ in _claims(name, world, grid))]
            allowed = f"a comparison of which {world or 'the study'} has both arms"
            allowed += f" (it has {', '.join(there) or 'none'})"
            raise InvalidInput(f"{where}.contrast", kind, allowed, f"Write {LINES[kind]}.")
        claim = json.dumps(_plain(hypothesis) | {"id": ""})
        if claim in seen:
            allowed = f"a claim of its own (hypotheses[{seen[claim]}] already makes this one)"
            raise InvalidInput(where, hypothesis.id, allowed, "Leave one of them out.")
        seen[claim] = i


def _check_arm(hypothesis: Hypothesis, where: str, grid: Sequence[Cell]) -> None:
    """Refuse a level without its arm, an arm that is not there, and an arm without a level."""
    arm, world = hypothesis.arm, hypothesis.world
    there = list(dict.fromkeys(c.reward_label for c in grid if world in (None, c.world)))
    if hypothesis.contrast != "level" and arm is not None:
        allowed = f"no value: {hypothesis.contrast} says which arms are compared"
        raise InvalidInput(f"{where}.arm", arm, allowed, "Write contrast: level.")
    if hypothesis.contrast == "level" and arm not in there:
        hint = closest(arm, there) if arm else f"Write arm: {there[0]}."
        raise InvalidInput(f"{where}.arm", arm, f"one of {', '.join(there)}", hint)


def primary_claims(said: Hypothesis | Contrast, grid: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Every comparison that a hypothesis, or any of a kind, is about: its setting and two arms.

    Args:
        said: A hypothesis, or a kind of comparison in every world.
        grid: Cells of the study.
    """
    if isinstance(said, str):
        yield from _claims(said, None, grid)
    else:
        yield from _claims(said.contrast, said.world, grid, said.arm)


def _claims(
    kind: Contrast, world: str | None, grid: Sequence[Cell], arm: str | None = None
) -> Iterator[dict[str, Any]]:
    """Every primary comparison of a kind: its setting and its two arms."""
    for setting, arms in compared_cells(kind, world, grid, arm):
        a, b = arms
        yield {**setting, "a": a, "b": b}


def compared_cells(
    kind: Contrast, world: str | None, grid: Sequence[Cell], arm: str | None = None
) -> Iterator[tuple[dict[str, Any], dict[Any, list[Cell]]]]:
    """Every primary comparison of a kind: its setting, and the cells of arm a and of arm b.

    Args:
        kind: Kind of comparison.
        world: Of this world alone; of all where None.
        grid: The study's cells.
        arm: The arm that a level is about; its arm b is None, without cells.
    """
    dial = KINDS[kind].dial
    unpaid = {cell.world for cell in grid if not cell.power_weight}
    settings: dict[str, tuple[dict[str, Any], dict[Any, list[Cell]]]] = {}
    for cell in grid:
        paid = cell.power_weight and cell.world in unpaid and dial != "power_weight"
        if not paid and world in (None, cell.world):
            setting = _setting(cell)
            value = setting.pop(dial, None)
            key = json.dumps(setting, sort_keys=True)
            arms = settings.setdefault(key, (setting, {}))[1]
            arms.setdefault(value, []).append(cell)
    for setting, arms in settings.values():
        for pair in primary(kind, arms, setting.get("gamma", 1.0), arm):
            yield setting, {value: arms.get(value, []) for value in pair}


def _setting(cell: Cell) -> dict[str, Any]:
    """What comparisons hold equal, by the names of the results' columns."""
    same = ("world", "agent", "power_weight", "gamma", "time_limit", "gae_lambda", "n_step")
    names = {name: getattr(cell, name) for name in same}
    return {**names, "reward": cell.reward_label, **cell.params}


def registration(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """All that must not change once results are seen, as plain JSON values.

    Args:
        study: The study.
        cells: Its cells.
    """
    from powerseek.experiments.statistics.comparisons import LEVEL
    from powerseek.experiments.statistics.verdicts import LEAST_REACH

    return {
        "hypotheses": [_plain(hypothesis) for hypothesis in study.hypotheses],
        "primary": [list(primary_claims(h, cells)) for h in study.hypotheses],
        "exclusions": {
            "competence": max(study.competence),
            "least_reach": LEAST_REACH,
            "least_seeds": LEAST_SEEDS,
        },
        "level": LEVEL,
        "seeds": study.seeds,
        "cells": sorted(cell.key for cell in cells),
    }


def _plain(hypothesis: Hypothesis) -> dict[str, Any]:
    """A hypothesis with nothing left to defaults that may change.

    Without an arm it has no such key: registrations made before there was one keep their hash.
    """
    plain = hypothesis.model_dump(mode="json") | {"measure": hypothesis.compared}
    return plain if hypothesis.arm is not None else {k: v for k, v in plain.items() if k != "arm"}


def registered(
    held: Mapping[str, Any], content: Mapping[str, Any], hash: str, begun: bool, now: str
) -> dict[str, Any]:
    """What the registration's file must hold from now on.

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
    """

    hypothesis: Hypothesis
    settings: int = 0
    confirmatory: bool = True
    note: str = ""
    seeds: int = 0


@dataclass(frozen=True)
class Registration:
    """What was registered for a results directory, and what has become of it.

    Attributes:
        hash: Hash of what was registered first.
        date: When, ISO 8601; empty where there is no registration.
        claims: Registered claims in their order, then those changed or added since.
        gate: Competence below which a trial is not scored.
        notes: What changed since, in plain words.
    """

    hash: str
    date: str
    claims: tuple[Claim, ...]
    gate: float
    notes: tuple[str, ...]


CHANGED = "changed after the first trial, so exploratory"
DROPPED = "as registered; it has since been changed or taken out of the study"
LATE = "registered after the first trial, so exploratory"
BROKEN = "its registration does not match its own hash, so exploratory"


def read_registration(out: Path | str) -> Registration | None:
    """What a results directory says of its hypotheses; None where it knows of none.

    Raises:
        InvalidInput: The registration cannot be read.
    """
    from powerseek.experiments.study.grid import digest

    folder = Path(out)
    held = held_registration(folder / layout.REGISTRATION)
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
    kept = [_plain(hypothesis) for hypothesis in now]
    seeds = int((changes[-1]["content"] if changes else content)["seeds"])
    flaw = BROKEN if digest(content) != held["hash"] else LATE if held["late"] else ""
    claims = [
        Claim(h, count, not flaw, flaw or ("" if _plain(h) in kept else DROPPED), seeds)
        for h, count in zip(first, counts, strict=True)
    ]
    added = [h for h in now if _plain(h) not in [_plain(known) for known in first]]
    claims += [Claim(h, 0, False, CHANGED, seeds) for h in added]
    changed = bool(added) or len(kept) < len(first)
    notes = (
        *([f"The registration is not to be trusted: {flaw}."] if flaw else []),
        *_notes(changes, content, changed),
    )
    return Registration(
        held["hash"], held["date"], tuple(claims), content["exclusions"]["competence"], notes
    )


def _notes(
    changes: Sequence[Mapping[str, Any]], content: Mapping[str, Any], changed: bool
) -> Iterator[str]:
    told = False
    for change in changes:
        when, seeds = spoken_date(change["date"]), change["content"]["seeds"]
        what = [name for name in change["changed"] if name not in ("seeds", "primary")]
        if what:
            told = told or "hypotheses" in what
            yield f"Changed after the first trial, on {when}: {', '.join(what)}."
        if "seeds" in change["changed"]:
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


def held_registration(path: Path) -> dict[str, Any]:
    """The registration's file, checked for its shape; empty where there is none.

    Raises:
        InvalidInput: It cannot be read, or is no registration.
    """
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content = held["registered"]
        shape = [held["hash"], held["date"], held["late"], content["seeds"]]
        lists = [held["changes"], content["hypotheses"], content["primary"]]
        gate = content["exclusions"]["competence"]
        for hypothesis in content["hypotheses"]:
            Hypothesis.model_validate(hypothesis)
        for change in held["changes"]:
            spoken_date(change["date"])
            shape += [change["hash"], change["content"]["seeds"]]
            lists += [change["changed"], change["content"]["hypotheses"]]
        if not (shape and gate and all(isinstance(part, list) for part in lists)):
            raise ValueError("not a registration")
        if not isinstance(gate, float | int) or len(content["primary"]) != len(
            content["hypotheses"]
        ):
            raise ValueError("not a registration")
        spoken_date(held["date"])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        allowed = "the registration as the sweep wrote it"
        hint = f"Remove {path}: its verdicts then count as exploratory."
        raise InvalidInput(path.name, str(path), allowed, hint) from None
    return held
