"""Archives: of a study's results what its verdicts and tables are made from, and no more.

An archive is a results directory without its trials' files, small enough to be kept beside code.
Each value in it is that of the run, to the last bit.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from powerseek import __version__
from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.analysis.checks import Curves
from powerseek.experiments.analysis.findings.hypotheses import LOWER, UPPER
from powerseek.experiments.analysis.priors import OPTIMISED, prior_measure, with_labels
from powerseek.experiments.analysis.view import View
from powerseek.experiments.checksums import results_fingerprint
from powerseek.experiments.report.figures.scatter import power_curve
from powerseek.experiments.report.figures.style import Picture
from powerseek.experiments.report.pages import page_text, write_report, write_summary
from powerseek.experiments.report.replays import Replays
from powerseek.experiments.report.sections import Part, Section, sections
from powerseek.experiments.results.files import (
    SMALL,
    StoreError,
    guarded_results_file,
    keep_results_file,
    names,
    read_column,
    table_writer,
    write_json,
    write_table,
)
from powerseek.experiments.results.integrity import made_anew
from powerseek.experiments.results.origin import read_mixed, write_mixed
from powerseek.experiments.results.provenance import read_provenance
from powerseek.experiments.results.schema import FAILED_ROW, NO_METRIC, SCHEMA
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial, canonical_study_json
from powerseek.experiments.study.preregistration import Registration
from powerseek.files import write_atomically
from powerseek.metrics import EXACT, SHIFTED, beside, unshifted
from powerseek.metrics.base import FAILED
from powerseek.types import Bools

TABLES = (
    layout.RESULTS,
    *(f"{layout.INTERNALS}/{name}.parquet" for name in ("curves", "frontiers")),
)
COPIED = (layout.STUDY, layout.REGISTRATION)
FILES = (*COPIED, layout.PROVENANCE, *TABLES)
"""What an archive holds beside its manifest, which has their digests, and its summary."""
OF_A_RUN = (
    *("finished", "wall_seconds", "trial_seconds", "workers"),
    *("versions", "revision", "machine", "set"),
)
"""What is told of each run. Not its command, nor its nodes: they name places and machines."""
OF_A_MACHINE = ("processor", "cores")
NUMBERS = ("value", "low", "high")
FORM = {**SMALL, "use_dictionary": [name for name in SCHEMA.names if name not in NUMBERS]}
"""Hardly two trials share a measure: a tenth less than with dictionaries of them."""


def archived_rows(table: pa.Table, checkpoints: Collection[str]) -> pa.Table:
    """The rows of trials that verdicts, tables and the page are made from.

    Of each metric the exact value, and the sampled one where there is none; policies that never
    slip where a level is bounded from above (``exact-greedy``); and one row that tells of each
    checkpoint and status.

    Args:
        table: Rows of whole trials (columns of `SCHEMA`), in their order.
        checkpoints: Where measures are read: see `read_at`.
    """
    return table.filter(pa.array(_is_read(table, checkpoints)))


def read_at(known: Registration | None) -> frozenset[str]:
    """Checkpoints where measures are read: the end, and what a hypothesis names."""
    claims = () if known is None else known.claims
    return frozenset({FAILED_ROW["checkpoint"], *(claim.hypothesis.checkpoint for claim in claims)})


def _is_read(table: pa.Table, checkpoints: Collection[str]) -> Bools:
    place = ["trial", "checkpoint", "metric"]
    rows = table.select([*place, "evaluation", "status", "unit", "value"]).to_pandas()
    read = rows["checkpoint"].isin(list(checkpoints))
    exact, sampled = (read & (rows["evaluation"] == name) for name in ("exact", "sampled"))
    known = pd.MultiIndex.from_frame(rows.loc[exact & rows["value"].notna(), place])
    better = pd.Series(pd.MultiIndex.from_frame(rows[place]).isin(known), rows.index)
    greedy = read & (rows["evaluation"] == "exact-greedy")
    greedy &= rows["metric"].isin([UPPER, f"{UPPER}{SHIFTED}"])
    told = ~rows.duplicated(["trial", "checkpoint", "status"])
    told |= sampled & ~rows.duplicated(["trial", "checkpoint", "status", "evaluation"])
    wrong = rows["metric"].isin(NO_METRIC) | rows["unit"].str.startswith(FAILED, na=False)
    kept: Bools = (exact | (sampled & ~better) | greedy | told | wrong).to_numpy(dtype=bool)
    return kept


def curve_columns(view: View) -> list[str]:
    """Columns of the learning curves that are read: by budgets, rest, priors and pictures."""
    curves = view.table("curves")
    if curves is None or curves.empty:
        return []
    known = () if view.registration is None else view.registration.claims
    measures = dict.fromkeys(name for claim in known for name in claim.hypothesis.followed)
    ends = [beside(name, UPPER) for name in measures if unshifted(name) == LOWER]
    followed = Curves(curves)
    drawn = [power_curve(own) for _, own in curves.groupby("world")]
    asked = [
        *("trial", "timesteps", "world", "seed", "competence", f"{EXACT}competence"),
        *(followed.column(measure) for measure in (*measures, *ends)),
        *drawn,
        prior_measure(view, curves),
        *(OPTIMISED if with_labels(view) else ()),
    ]
    return [name for name in curves.columns if name in asked]


def archived_parts(parts: Sequence[Section], folder: Path) -> list[Section]:
    """What the summary of an archive shows: of pictures those that lie there, no replays."""
    there = names(folder / layout.FIGURES, ".png")

    def shown(part: Part) -> bool:
        if isinstance(part, Picture):
            return part.name in there
        return not isinstance(part, Replays)

    kept = [replace(one, parts=tuple(filter(shown, one.parts))) for one in parts]
    return [section for section in kept if section.parts]


def write_archive(store: Store, grid: Sequence[Trial], folder: Path) -> None:
    """Write an archive of a run; one of the same study that is there is replaced.

    Nothing is written unless its summary (verdicts, tables) is that of the run to the letter, and
    no text in it names a place on a machine.

    Args:
        store: The run.
        grid: The study's trials.
        folder: Where to; see `check_folder`.

    Raises:
        InvalidInput: The run's results cannot be read.
        StoreError: They cannot be read, the folder cannot be written, or either does not hold.
    """
    whole = View.read(store.out)
    with tempfile.TemporaryDirectory(prefix="powerseek-archive-") as place:
        draft = Path(place) / folder.name
        _write_draft(store, grid, whole, draft)
        figures = folder / layout.FIGURES
        if figures.is_dir():
            (draft / layout.FIGURES).symlink_to(figures.resolve(), target_is_directory=True)
        view = View.read(draft)
        parts = archived_parts(sections(view), draft)
        write_summary(view, parts, draft)
        _check_summary(whole, draft, folder)
        _check_places(draft, folder)
        for name in (*FILES, layout.SUMMARY, layout.MANIFEST):
            if (draft / name).is_file():
                with guarded_results_file(folder / name):
                    write_atomically(folder / name, partial(shutil.copyfile, draft / name))


def _check_summary(whole: View, draft: Path, folder: Path) -> None:
    """Refuse an archive of which the summary is another than that of the run."""
    made = (draft / layout.SUMMARY).read_text(encoding="utf-8").splitlines()
    said = page_text(layout.SUMMARY, whole, archived_parts(sections(whole), draft), draft)
    for line, other in zip_longest(said.splitlines(), made, fillvalue=""):
        if line != other:
            raise StoreError(
                f"{folder}: not written, for the run's summary would not follow from it: {line!r} "
                f"would be {other!r}. This is a fault of powerseek: please report it."
            )


_PLACE = re.compile(r"(?<![\w.:/~)-])~?(?:/[\w.@+-]+){2,}|\b[A-Za-z]:\\\\?\w+")
"""A path from the root of a file system, or from somebody's home."""


def _check_places(draft: Path, folder: Path) -> None:
    """Refuse an archive that names a place on a machine: a world in a file, say."""
    for name in (*FILES, layout.SUMMARY, layout.MANIFEST):
        found = _PLACE.search(_words(draft / name))
        if found:
            raise StoreError(
                f"{folder}: not written, for its {name} would name a place on this machine: "
                f"{found[0]!r}. Worlds in files of yours, settings and parameters are to be given "
                "by paths that hold elsewhere too: relative ones, or in a plugin."
            )


def _words(path: Path) -> str:
    """All texts of a file of an archive, each once."""
    if not path.is_file():
        return ""
    if path.suffix != ".parquet":
        return path.read_text(encoding="utf-8")
    table = pq.read_table(path)
    texts = [table.column(f.name).unique() for f in table.schema if pa.types.is_string(f.type)]
    told = [str(value) for column in texts for value in column.to_pylist()]
    return "\n".join([*told, *map(str, (table.schema.metadata or {}).values())])


def _write_draft(store: Store, grid: Sequence[Trial], whole: View, draft: Path) -> None:
    for name in COPIED:
        keep_results_file(draft / name, partial(shutil.copyfile, store.out / name))
    write_json(draft / layout.PROVENANCE, _told(read_provenance(store.out)))
    rows, left_out = _write_rows(store.results, draft / layout.RESULTS, read_at(whole.registration))
    tables = {"curves": curve_columns(whole), "frontiers": None}
    for name, columns in tables.items():
        path = layout.table(store.out, name)
        if path.is_file() and columns != []:  # None: all of them
            table = pq.read_table(path, columns=columns).replace_schema_metadata(None)
            write_table(layout.table(draft, name), table, form=SMALL)
    held = {key: value for key, value in store.manifest().items() if key != "checksum"}
    files = {name: digest for name in FILES if (digest := results_fingerprint(draft / name))}
    there = (*files, layout.SUMMARY)
    about = {
        "rows": rows,
        "left_out": left_out,
        "made_of": results_fingerprint(store.results),
        "powerseek": __version__,
        "files": files,
        "origins": _origins(store, grid),
    }
    meaning = {name: words for name, words in layout.MEANING.items() if name in there}
    write_json(draft / layout.MANIFEST, {**held, "files": meaning, "archive": about})


def _told(provenance: dict[str, Any]) -> dict[str, Any]:
    """What made the results, without what names a machine or a place on it."""
    runs = []
    for run in provenance.get("runs", []):
        told = {name: run[name] for name in OF_A_RUN if name in run}
        machine = told.get("machine", {})
        runs.append({**told, "machine": {n: machine[n] for n in OF_A_MACHINE if n in machine}})
    return {**{k: v for k, v in provenance.items() if k != "checksum"}, "runs": runs}


def _write_rows(results: Path, path: Path, checkpoints: Collection[str]) -> tuple[int, int]:
    """Write the rows that are read; how many these are, and how many others there were."""
    counts = [0, 0]

    def write(temporary: Path) -> None:
        with pq.ParquetFile(results) as file, table_writer(temporary, SCHEMA, FORM) as writer:
            for group in range(file.num_row_groups):
                every = file.read_row_group(group).cast(SCHEMA)
                kept = archived_rows(every, checkpoints)
                counts[0] += kept.num_rows
                counts[1] += every.num_rows - kept.num_rows
                writer.write_table(kept, kept.num_rows or None)
            write_mixed(writer, read_mixed(results.parent))

    keep_results_file(path, write)
    return counts[0], counts[1]


def _origins(store: Store, grid: Iterable[Trial]) -> list[dict[str, Any]]:
    """Each origin that trials have, and their keys."""
    found: dict[str, dict[str, Any]] = {}
    kept = set(read_column(store.results, SCHEMA, "trial"))
    for trial in grid:
        if trial.key in kept:
            origin = store.origin(trial)
            key = canonical_study_json(origin)
            found.setdefault(key, {"origin": origin, "trials": []})["trials"].append(trial.key)
    return list(found.values())


def check_folder(folder: Path, given: str, store: Store) -> None:
    """Refuse a folder that holds anything but an archive of this study, or pictures for one.

    Raises:
        InvalidInput: It does, or is none.
    """
    hint = "Write for example --archive docs/studies/NAME."
    if store.archive:
        allowed = "the results directory of a sweep, not an archive of it"
        raise InvalidInput("RUN", str(store.out), allowed, "Copy the archive instead.")
    resolved, out = folder.resolve(), store.out.resolve()
    if resolved == out or out in resolved.parents or resolved in out.parents:
        raise InvalidInput("--archive", given, "a folder outside the run", hint)
    there = Store(folder)
    if any(part.exists() and not part.is_dir() for part in (folder, *folder.parents)):
        raise InvalidInput("--archive", given, "a folder", hint)
    if there.archive and there.manifest()["identity"] == store.manifest()["identity"]:
        return
    others = sorted({path.name for path in folder.glob("*")} - {layout.FIGURES})
    if others:
        what = "an archive of another study" if there.archive else f"{others[0]!r}"
        allowed = (
            "a folder that is absent, empty but for figures/, or holds an older archive of this "
            f"study (it holds {what})"
        )
        raise InvalidInput("--archive", given, allowed, "Move it away, or name another folder.")


STAYED = (
    "this is an archive: replays, TensorBoard's curves and the trials' own files stayed with the "
    "run, and the pictures in its figures/ are as they were put there."
)
"""What a reader of the page of an archive should know."""


def draw_archive(store: Store) -> View:
    """Draw the page and the summary of an archive, and a table of a row a trial, from its tables.

    Raises:
        InvalidInput: Its results cannot be read.
        StoreError: Its files are not those that were archived, or one cannot be written.
    """
    if wrong := list(archive_differences(store)):
        raise StoreError(f"{store.out}: {'; '.join(wrong)}. {made_anew(store.out)}")
    view = View.read(store.out)
    parts = sections(view)
    store.pivot()
    write_summary(view, archived_parts(parts, store.out), store.out)
    write_report(view, parts, store.out)
    return view


def archive_differences(store: Store) -> Iterator[str]:
    """In what the files of an archive are not those that were written, a text a file."""
    was = store.archive["files"]
    for name in FILES:
        if results_fingerprint(store.out / name) != was.get(name, ""):
            yield f"{name} {'is not the one that was archived' if name in was else 'was added'}"
