"""Checks of a results directory against itself: checksums, registration, origins, its own pages."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from powerseek import __version__
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments import checksums, layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.archive import archive_differences, archived_parts
from powerseek.experiments.report.figures.style import Picture, undrawn
from powerseek.experiments.report.pages import write_report, write_summary
from powerseek.experiments.report.sections import Part, Section, sections
from powerseek.experiments.results.files import DiskFull, names, reason
from powerseek.experiments.results.integrity import drawn_differences
from powerseek.experiments.results.origin import (
    PYTHON,
    RULES,
    UNKNOWN,
    origin_of,
)
from powerseek.experiments.results.side_tables import write_tables
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Cell, Trial, content_hash
from powerseek.experiments.study.hypotheses import spelled_out
from powerseek.experiments.study.preregistration import (
    held_registration,
    read_registration,
    registration,
    spoken_date,
)
from powerseek.experiments.study.schema import Study
from powerseek.experiments.verify.agreement import lines_differ, tables_differ

OK, DIFFERS, NOTE, SKIPPED = "ok", "differs", "note", "not checked"
SHOWN = 3
"""Most items that a line names."""
SEALED = (layout.ROWS, layout.CURVES, layout.ORACLES, layout.REPLAYS)
"""Folders all of whose files hold their checksum."""
TABLES = (
    *(layout.RESULTS, layout.TRIALS),
    *(f"{layout.INTERNALS}/{name}.parquet" for name in ("curves", "frontiers")),
)
"""Tables that are made from the files of the trials."""


@dataclass(frozen=True)
class Check:
    """One check and what came of it.

    Attributes:
        name: What was checked.
        word: `OK`, `DIFFERS`, `NOTE` (to be known, no fault) or `SKIPPED`.
        found: What was found, in words.
    """

    name: str
    word: str
    found: str


def check_files(store: Store) -> Check:
    """Hold every file that has a checksum against it."""
    required, wrong = store.checksummed, []
    paths = [store.out / name for name in (*TABLES, layout.STUDY)]
    paths += sorted((store.out / layout.INTERNALS).glob("*.json"))
    paths += [
        store.out / folder / n for folder in SEALED for n in sorted(names(store.out / folder))
    ]
    there = [path for path in paths if path.exists()]
    plain = 0
    for path in there:
        try:
            plain += not checksums.check(path, required)
        except (OSError, ValueError) as error:
            wrong.append(f"{path.relative_to(store.out)}: {reason(error)}")
    if wrong:
        return Check("checksums", DIFFERS, few(wrong))
    if plain:
        said = f"{plain} of {len(there)} files were written without one, by an older version"
        return Check("checksums", NOTE, said)
    return Check("checksums", OK, f"{len(there)} files are as they were written")


def check_drawn(store: Store) -> Check:
    """Hold the report, its pictures and its tables against what was noted when they were drawn."""
    wrong = drawn_differences(store.out)
    if wrong:
        return Check("drawn files", DIFFERS, few(wrong))
    return Check(
        "drawn files", OK, "report, summary, pictures and tables are those that were drawn"
    )


def check_archive(store: Store) -> Check:
    """Hold the files of an archive against what was noted when it was written."""
    held = store.archive
    if wrong := list(archive_differences(store)):
        return Check("archive", DIFFERS, few(wrong))
    said = (
        f"{held['rows']:,} rows of a run, {held['left_out']:,} were left out; its files are those"
    )
    return Check("archive", OK, f"{said} that were archived")


def check_registration(store: Store, study: Study, cells: Sequence[Cell]) -> Check:
    """Hold what was registered against its hash, and the latest of it against the study."""
    name = "registration"
    try:
        held, known = held_registration(store.out), read_registration(store.out)
    except InvalidInput as error:
        return Check(name, DIFFERS, str(error))
    if not held or known is None:
        return Check(name, DIFFERS, "there is none; a sweep writes one before its first trial")
    latest = held["changes"][-1] if held["changes"] else held
    content = latest.get("content", held["registered"])
    treatments = {cell.key: cell for cell in cells if not cell.is_reference}
    wrong = []
    if content_hash(held["registered"]) != held["hash"] or content_hash(content) != latest["hash"]:
        wrong.append("what it holds does not have the hash it names")
    primary = [[spelled_out(one) for one in said] for said in content.get("primary", ())]
    told = content_hash({**content, "primary": primary})
    if content_hash(registration(study, list(treatments.values()))) != told:
        wrong.append(f"it is not that of {layout.STUDY} by this version")
    if store.manifest().get("preregistered") not in (None, latest["hash"], held["hash"]):
        wrong.append(f"{layout.MANIFEST} names another")
    if wrong:
        return Check(name, DIFFERS, "; ".join(wrong))
    said = (
        f"{len(known.claims)} hypotheses, sha256 {held['hash'][:16]}, {spoken_date(held['date'])}"
    )
    notes = [*known.notes, *(["registered after the first trial"] if held["late"] else [])]
    return Check(name, NOTE if notes else OK, "; ".join([said, *notes]))


def check_origins(store: Store, done: Sequence[Trial]) -> Iterator[Check]:
    """Hold the code and machine that made the trials against those here."""
    other: Counter[str] = Counter()
    edited: Counter[str] = Counter()
    now: dict[str, dict[str, str]] = {}
    for trial in done:
        if trial.cell.key not in now:
            now[trial.cell.key] = origin_of(trial.cell)
        held, here = store.origin(trial), now[trial.cell.key]
        if held == UNKNOWN:
            other["of an earlier version, which did not record it"] += 1
            continue
        same_python = _minor(held) == _minor(here)
        if held.get(RULES, here[RULES]) != here[RULES] and same_python:
            edited[trial.cell.world] += 1
        for part in {**held, **here}:
            if part != RULES and held.get(part) != here.get(part):
                other[f"{part} {held.get(part, 'absent')} (here {here.get(part, 'absent')})"] += 1
    if edited:
        told = ", ".join(f"{world} ({count} trials)" for world, count in edited.items())
        yield Check("rules", DIFFERS, f"the rules of these worlds are others here: {told}")
    else:
        worlds = len({trial.cell.world for trial in done})
        yield Check("rules", OK, f"those of {worlds} world{'s' * (worlds != 1)} are those here")
    if other:
        yield Check("code", NOTE, few([f"{what}: {n} trials" for what, n in other.items()]))
    else:
        yield Check("code", OK, f"all {len(done)} trials were made by what runs here")
    written = str(store.manifest().get("powerseek"))
    same = written == __version__
    said = f"powerseek {written}" + ("" if same else f"; here {__version__}, so words may differ")
    yield Check("version", OK if same else NOTE, said)


def _minor(origin: dict[str, str]) -> str:
    return origin.get(PYTHON, "").rpartition(".")[0]


def check_pages(store: Store, grid: Sequence[Trial], folder: Path) -> Iterator[Check]:
    """Make tables, verdicts and pages again from the trials' files, and compare them.

    Args:
        store: The results; nothing is written there.
        grid: All trials of the study.
        folder: An empty one, where they are made.
    """
    again = Store(_linked(store.out, folder))
    try:
        again.join(grid)
        write_tables(again, grid)
        view = View.read(again.out)
        parts = _undrawn(sections(view))
        write_summary(view, parts, again.out)
        write_report(view, parts, again.out)
    except DiskFull:
        raise
    except PowerseekError as error:
        yield Check("tables", DIFFERS, f"they cannot be made again: {error}")
        return
    for name in TABLES:
        yield _table(name, store.out / name, again.out / name)
    yield from _summary(store.out, again.out)
    pages = (_page(out / layout.REPORT) for out in (store.out, again.out))
    yield _text(layout.REPORT, *pages)


def check_summary(store: Store, folder: Path) -> Iterator[Check]:
    """Make the verdicts and the summary of an archive again from its tables, and compare them.

    Args:
        store: The archive; nothing is written there.
        folder: An empty one, where they are made.
    """
    again = _linked(store.out, folder)
    try:
        view = View.read(again)
        write_summary(view, archived_parts(sections(view), store.out), again)
    except DiskFull:
        raise
    except PowerseekError as error:
        yield Check("verdicts", DIFFERS, f"they cannot be made again: {error}")
        return
    yield from _summary(store.out, again)


def _table(name: str, kept: Path, made: Path) -> Check:
    if not kept.exists() and not made.exists():
        return Check(name, OK, "there is none, and none is made")
    try:
        found = tables_differ(kept, made)
    except (OSError, ValueError, pa.ArrowException) as error:
        found = reason(error)
    return Check(name, DIFFERS if found else OK, found or "as made again from the trials' files")


def _summary(kept: Path, made: Path) -> Iterator[Check]:
    """The verdicts of the summary, and the rest of it."""
    parts = [_parted(_lines(out / layout.SUMMARY)) for out in (kept, made)]
    if parts[1][0] or parts[0][0]:
        yield _text("verdicts", *(verdicts for verdicts, _ in parts))
    else:
        yield Check("verdicts", OK, "the study has no hypotheses, so there are none")
    yield _text(layout.SUMMARY, *(rest for _, rest in parts))


def _parted(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines below the heading of the verdicts, and all others."""
    verdicts: list[str] = []
    rest: list[str] = []
    here = False
    for line in lines:
        if line.startswith("## "):
            here = line == "## Verdicts"
        (verdicts if here else rest).append(line)
    return verdicts, rest


def _text(name: str, kept: Sequence[str], made: Sequence[str]) -> Check:
    found = lines_differ(kept, made)
    if found is None:
        return Check(name, OK, f"{len(made)} lines are as made again from the results")
    return Check(
        name, DIFFERS, f"{found.lines} line{'s' * (found.lines != 1)}; first: {found.first}"
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


_PICTURE = re.compile(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*")


def _page(path: Path) -> list[str]:
    """The lines of a page without its pictures."""
    return [_PICTURE.sub("", line) for line in _lines(path)]


def _undrawn(parts: Sequence[Section]) -> list[Section]:
    """The sections of a report with empty pictures: pictures are not compared."""

    def empty(part: Part) -> Part:
        return undrawn(part) if isinstance(part, Picture) else part

    return [replace(section, parts=tuple(map(empty, section.parts))) for section in parts]


def _linked(out: Path, folder: Path) -> Path:
    """A results directory of links to what pages are made from; what is made is not there."""
    target = folder / out.name
    (target / layout.INTERNALS).mkdir(parents=True)
    made_of = (layout.STUDY, layout.MANIFEST, layout.REGISTRATION, layout.PROVENANCE)
    for name in (*made_of, *(TABLES if Store(out).archive else ())):
        if (out / name).exists():
            os.symlink(out / name, target / name)
    for name in (*SEALED, layout.ERRORS):
        if (out / name).exists():
            os.symlink(out / name, target / name, target_is_directory=True)
    return target


def few(items: Sequence[str]) -> str:
    """The first items in a line, and how many more."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more
