"""Results on disk: each trial written atomically when it ends, merged into one table."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from powerseek import __version__
from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import (
    StoreError,
    folder_of,
    guarded_results_file,
    keep_results_file,
    names,
    read_column,
    read_table,
    reason,
    table_writer,
    write_json,
    write_table,
)
from powerseek.experiments.results.integrity import (
    FORMAT,
    Damaged,
    archive_record,
    check_format,
    check_results,
    check_trials,
    read_manifest,
    read_trial,
    study_differences,
)
from powerseek.experiments.results.lock import Warn, check_unlocked, locked_folder
from powerseek.experiments.results.origin import (
    UNKNOWN,
    Origins,
    check_origins,
    read_origin,
    with_origin,
    write_mixed,
)
from powerseek.experiments.results.provenance import recorded_runs
from powerseek.experiments.results.schema import COLUMNS as COLUMNS
from powerseek.experiments.results.schema import FAILED_ROW, SCHEMA, check_metrics
from powerseek.experiments.results.schema import trial_columns as trial_columns
from powerseek.experiments.results.wide import write_trials
from powerseek.experiments.study.grid import Trial, content_hash
from powerseek.experiments.study.preregistration import (
    held_registration,
    registration,
    registration_content,
)
from powerseek.experiments.study.schema import Study, load_study, resume_line
from powerseek.experiments.study.yaml_text import write_yaml
from powerseek.files import remove_temporaries
from powerseek.registry import list_metrics, worlds

ROW_GROUP = 1 << 20
Ended: TypeAlias = Callable[[Trial], None]


class InUse(InvalidInput):
    """The results directory holds something, and is not to be gone on with."""


class Store:
    """One study's results directory; of results elsewhere (`remote`) a copy for one process.

    Args:
        out: The directory, as a path or as ``file:///`` and its path; made absolute.

    Raises:
        InvalidInput: An address of something else.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = folder_of(out)
        self.trials = self.out / layout.ROWS
        self.results = self.out / layout.RESULTS
        # By content: a sweep asks this of every trial six times, and to read takes 20 times as
        # long as to hash. What cannot be read has no content here: `read_column` says why.
        self._failures: dict[str, bool] = {}

    @property
    def address(self) -> str:
        """Address of the same results for another process; see `remote.store_at`."""
        return str(self.out)

    def locked(self, warn: Warn) -> AbstractContextManager[None]:
        """Hold these results: no other sweep may write them meanwhile; see `lock`."""
        return locked_folder(self.out, warn)

    def fetch(self) -> None:
        """Have here what processes elsewhere have kept, models and trials' events aside."""

    def send(self) -> None:
        """Keep where the results lie what was made here of all trials together."""

    def begin(self, trials: Sequence[Trial]) -> None:
        """Have here what these trials go on from; what other trials left here goes."""

    def sent(self, path: Path) -> None:
        """Keep where the results lie a file that was written while a trial runs."""

    def following(self, ended: Ended) -> AbstractContextManager[Ended]:
        """A function to be told of each trial that has ended, which tells `ended` once it is here.

        Args:
            ended: Is told from one thread at a time, at the latest when the context ends; not of
                trials that are not here by then.
        """
        return contextlib.nullcontext(ended)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Errors raised within speak of where the results lie, the system's own among them."""
        try:
            yield
        except OSError as error:
            with guarded_results_file(Path(error.filename or self.out), "used"):
                raise

    def told(self, text: str) -> str:
        """A text that speaks of where the results lie."""
        return text

    def shown(self, path: Path) -> str:
        """A path below `out` as a user would type it here."""
        try:
            return str(path.relative_to(Path.cwd()))
        except ValueError:
            return str(path)

    def inspect(self, study: Study, grid: Sequence[Trial], resume: bool) -> tuple[str, ...]:
        """See whether a study can be begun or taken up here; nothing is written.

        Returns:
            How the trials that are kept differ in origin from those that are to stand beside
            them, in lines.

        Raises:
            InvalidInput: Not empty and not `resume`; or it holds another study, or trials of other
                rules; or a metric is registered by the name of a column.
            StoreError: Not readable.
        """
        check_metrics(list_metrics())
        with self.naming():
            if self.out.exists() and not self.out.is_dir():
                raise InvalidInput("--out", str(self.out), "a directory")
            check_format(self.out)
            self._check(study, grid, resume)
            finished = self.finished(grid)
            going_on = len(finished) < len(grid)
            return check_origins(finished, self.out) if going_on else ()

    def open(self, study: Study, grid: Sequence[Trial], resume: bool) -> tuple[str, ...]:
        """Begin or take up a study here, as `inspect` allows; nothing is written where it refuses.

        Raises:
            StoreError: Not writable.
        """
        said = self.inspect(study, grid, resume)
        with self.naming():
            self._begin(study, grid)
        return said

    def check_usable(self) -> None:
        """Refuse a place where nothing can be written, or which another process holds.

        Nothing is written to find that out, so what only writing shows is let pass.

        Raises:
            InvalidInput: Another process holds it.
            StoreError: Not writable.
        """
        check_unlocked(self.out)
        place = next(folder for folder in (self.out, *self.out.parents) if folder.exists())
        with guarded_results_file(self.out):
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))

    def _check(self, study: Study, grid: Sequence[Trial], resume: bool) -> None:
        if not self._used_files():
            return
        if self.archive:
            allowed = "no archive, which holds no trial's file to go on with"
            again = f"powerseek sweep {self.shown(self.out / layout.STUDY)} --out runs/{study.name}"
            raise InvalidInput("--out", str(self.out), allowed, f"To run its study: {again}")
        if not resume:
            raise self._used()
        held = self._held()
        if held and held["identity"] != identity(study):
            content = study_differences(held["content"], _content(study))
            allowed = f"the study it already holds ({held['study']!r}, {content})"
            hint = f"Choose another --out. {self._go_on()}"
            raise InvalidInput("--out", str(self.out), allowed, hint)
        if held and held["seeds"] > study.seeds:
            allowed = f"at least the {held['seeds']} seeds that {self.out} already holds"
            raise InvalidInput("seeds", study.seeds, allowed, self._go_on())
        keys = {trial.key for trial in grid}
        check_trials(self.trials, keys, self.checksummed)
        check_results(self.results, keys, keys)  # what is gone will be run again

    def _go_on(self) -> str:
        """How to go on with the study that is here, whatever has been made of its file."""
        return f"To go on with the study it holds: {resume_line(self.shown(self.out))}"

    def _used_files(self) -> bool:
        """True if anything lies here but the lock of who is looking."""
        lock = self.out / layout.LOCK
        return any(path not in (lock, lock.parent) for path in self.out.glob("*")) or any(
            path != lock for path in lock.parent.glob("*")
        )

    def _used(self) -> InUse:
        hint = "Go on with what it holds: --resume (in Python resume=True)."
        return InUse("--out", str(self.out), "an empty or absent directory", hint)

    def _held(self) -> dict[str, Any]:
        """The manifest, or what stands for one that is damaged or was not written yet.

        Empty where nothing stands for it; every kept trial shows by its name whether it belongs.
        """
        ours = (self.out / layout.REGISTRATION).is_file()
        try:
            held = self.manifest()
        except Damaged:
            if not ours:
                raise
            held = {}
        if held:
            return held
        if not ours:
            allowed = (
                f"an empty directory, or one that holds this study (it has no {layout.MANIFEST})"
            )
            raise InvalidInput("--out", str(self.out), allowed)
        try:
            return _manifest(load_study(self.out / layout.STUDY))
        except InvalidInput:
            return {}

    def study(self) -> Study:
        """The study that the directory holds.

        Raises:
            InvalidInput: It holds none, or one with a world in a file that was not imported.
            StoreError: Damaged, of another version, or of two studies.
        """
        held = self.manifest()
        if not held:
            allowed = f"a results directory of a sweep (it would hold {layout.MANIFEST})"
            raise InvalidInput("DIR", str(self.out), allowed)
        path = self.out / layout.STUDY
        hint = "To have it written anew, give its study: powerseek sweep STUDY --resume --out"
        try:
            study = load_study(path)
        except InvalidInput as error:
            words = f"{path}: cannot be read: {reason(error)}. {hint} {self.out}"
            raise StoreError(words) from None
        if held["identity"] != identity(study) or held["seeds"] > study.seeds:
            what = study_differences(held["content"], _content(study))
            if held["identity"] == identity(study):
                what = f"{study.seeds} seeds, not {held['seeds']}"
            raise StoreError(
                f"{path}: not the study that {layout.MANIFEST} names ({held['study']!r}, {what}). "
                f"{hint} {self.out}"
            )
        try:
            checksums.check(path, self.checksummed)
        except checksums.Altered as error:
            raise StoreError(f"{path}: {error}. {hint} {self.out}") from None
        _refuse_files(study, path)
        return study

    def check(self, grid: Sequence[Trial]) -> None:
        """See that every kept trial belongs to `grid`, and that a merge would lose nothing.

        Raises:
            StoreError: What does not belong, or is damaged, and what to do.
        """
        keys = {trial.key for trial in grid}
        kept = check_trials(self.trials, keys, self.checksummed)
        check_results(self.results, keys, kept.union(self._archived))

    def _begin(self, study: Study, grid: Sequence[Trial]) -> None:
        checksummed = self._all_checksummed()
        kept = self._preregister(study, grid)
        for folder in (self.trials, self.out / layout.ERRORS, self.out / layout.ORACLES):
            folder.mkdir(parents=True, exist_ok=True)
        text = write_yaml(study.model_dump(mode="json", exclude_unset=True))
        text += f"# checksum: {checksums.BLANK}\n"
        keep_results_file(self.out / layout.STUDY, lambda path: path.write_text(text))
        about = {"preregistered": kept["hash"], "checksums": checksummed}
        write_json(self.out / layout.MANIFEST, {**_manifest(study), **about})

    def _all_checksummed(self) -> bool:
        """True in a folder that is begun now; else what is said, or what its first file shows."""
        said = checksums.unchecked_record(self.out / layout.MANIFEST).get("checksums")
        if said is not None:
            return said is True
        try:
            return checksums.check(self.out / layout.REGISTRATION)
        except FileNotFoundError:
            return True

    @property
    def checksummed(self) -> bool:
        """True if all files here were written with a checksum."""
        return checksums.checksummed(self.out / layout.MANIFEST)

    def _preregister(self, study: Study, grid: Sequence[Trial]) -> dict[str, Any]:
        """Keep what the study claims, before any trial starts; changes are added, never hidden."""
        held = self._registration()
        treatments = {t.cell.key: t.cell for t in grid if not t.cell.is_reference}
        content = registration(study, list(treatments.values()))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = registration_content(held, content, content_hash(content), self._begun(), now)
        if kept != held:
            write_json(self.out / layout.REGISTRATION, kept)
        return kept

    def _begun(self) -> bool:
        """True if a trial may have run."""
        return any(
            path.is_file()
            and path.relative_to(self.out).as_posix() not in layout.BEFORE
            and not path.name.startswith(".")
            for path in self.out.rglob("*")
        )

    def manifest(self) -> dict[str, Any]:
        """The directory's manifest; empty where it has none.

        Raises:
            StoreError: It is there and cannot be read.
        """
        return read_manifest(self.out)

    def provenance(self, study: Study, grid: Sequence[Trial], run: Mapping[str, Any]) -> None:
        """Record what made the results; wall times of resumed runs add up.

        A file that cannot be read is kept aside, and the record says so.
        """
        path = self.out / layout.PROVENANCE
        lost: dict[str, Any] = {}
        try:
            before = recorded_runs(self.out).get("runs", [])
        except StoreError:
            aside = path.with_name(f"provenance.damaged-{os.getpid()}.json")
            with guarded_results_file(path):
                os.replace(path, aside)
            before, lost = [], {"lost": f"earlier runs: {aside.name} could not be read"}
        runs = [*before, dict(run)]
        write_json(
            path,
            {
                "study": study.name,
                "identity": identity(study),
                "preregistered": self._registration().get("hash"),
                "trials": len(grid),
                "seeds": study.seeds,
                "wall_seconds": sum(run["wall_seconds"] for run in runs),
                **lost,
                "runs": runs,
            },
        )

    def _registration(self) -> dict[str, Any]:
        try:
            return held_registration(self.out)
        except InvalidInput as error:
            raise StoreError(f"{self.out / layout.REGISTRATION}: cannot be read: {error}") from None

    def path(self, trial: Trial) -> Path:
        """Path of the rows of one trial."""
        return self.trials / f"{trial.key}.parquet"

    def error_path(self, trial: Trial) -> Path:
        """Path of the error text of a failed trial."""
        return self.out / layout.ERRORS / f"{trial.key}.txt"

    def error(self, trial: Trial) -> str:
        """What a failed trial failed of, in a line."""
        try:
            text = checksums.sealed_bytes(self.error_path(trial), None).decode(errors="replace")
        except OSError:
            text = ""
        return (text.strip().splitlines() or ["no reason given"])[-1]

    def write(self, trial: Trial, rows: pd.DataFrame, origin: Mapping[str, str] = UNKNOWN) -> None:
        """Keep one finished trial, all of it or nothing.

        Args:
            trial: The trial.
            rows: Its rows.
            origin: The code and machine that it was made by (`origin.origin_of`).

        Raises:
            DiskFull: No space is left.
            StoreError: Not writable.
        """
        table = pa.Table.from_pandas(rows[list(COLUMNS)], SCHEMA, preserve_index=False)
        write_table(self.path(trial), with_origin(table, origin))
        for path in (self.error_path(trial), checkpoint_path(self.out, trial)):
            with guarded_results_file(path):
                path.unlink(missing_ok=True)

    def write_failed(
        self,
        trial: Trial,
        error: str,
        resumable: bool = False,
        reached: Mapping[str, int] | None = None,
    ) -> None:
        """Keep a failed trial: one row, and its error beside it.

        Args:
            trial: The trial.
            error: What a reader should know.
            resumable: Whether another try may go on from its checkpoint; else that is removed.
            reached: Its ``timesteps`` and ``updates`` when it failed, where they are known.
        """
        if not resumable:
            checkpoint_path(self.out, trial).unlink(missing_ok=True)
        keep_results_file(self.error_path(trial), lambda temporary: temporary.write_text(error))
        row = {**trial_columns(trial), **FAILED_ROW, **(reached or {}), "status": "failed"}
        table = pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS}], SCHEMA)
        write_table(self.path(trial), table)

    @property
    def archive(self) -> dict[str, Any]:
        """What an archive says of itself; see `archive_record`."""
        return archive_record(self.out)

    @cached_property
    def _archived(self) -> dict[str, bool]:
        """Whether each trial failed that an archive has rows of; empty of a run."""
        if not self.archive or not self.results.is_file():
            return {}
        table = read_table(self.results, SCHEMA).select(["trial", "status"]).to_pandas()
        failed = (table["status"] == "failed").groupby(table["trial"]).any()
        return {str(key): bool(one) for key, one in failed.items()}

    @cached_property
    def _origins(self) -> dict[str, dict[str, str]]:
        return {
            key: one["origin"] for one in self.archive.get("origins", []) for key in one["trials"]
        }

    def origin(self, trial: Trial) -> dict[str, str]:
        """The code and machine that made a trial; `UNKNOWN` where it is not said."""
        return self._origins.get(trial.key) or read_origin(self.path(trial))

    def kept(self) -> set[str]:
        """Keys of the trials that have rows here, failed ones among them."""
        return names(self.trials, ".parquet").union(self._archived)

    def missing(self, grid: Iterable[Trial]) -> list[Trial]:
        """Trials without a result, and failed ones, which a resume tries again."""
        return [trial for trial in grid if not self.done(trial)]

    def finished(self, grid: Iterable[Trial]) -> list[tuple[Trial, Path]]:
        """Trials that have a result and did not fail, and the files of their rows."""
        return [(trial, self.path(trial)) for trial in grid if self.done(trial)]

    def done(self, trial: Trial) -> bool:
        """True if one trial has a result and did not fail."""
        return self._has_failed(trial) is False

    def _has_failed(self, trial: Trial) -> bool | None:
        """True if its rows say so, None without rows: an error may outlive the try it is of."""
        path = self.path(trial)
        if not os.path.lexists(path):
            return self._archived.get(trial.key)
        content = checksums.results_fingerprint(path)
        if content not in self._failures:
            self._failures[content] = "failed" in read_column(path, SCHEMA, "status")
        return self._failures[content]

    def unchecked(self) -> int:
        """Number of trials whose rows were written without a checksum."""
        return sum(
            not checksums.check(self.trials / f"{key}.parquet") for key in sorted(self.kept())
        )

    def tidy(self, grid: Iterable[Trial]) -> None:
        """Remove what killed processes left: half-written files, checkpoints of finished trials.

        Only what a sweep has written, by its name, no link and nothing behind one; and only while
        nothing is running.
        """
        grid = list(grid)
        going_on = {trial.key for trial in self.missing(grid)}
        for folder in (self.out, *(self.out / name for name in layout.WRITTEN)):
            if not self._behind_a_link(folder):
                remove_temporaries(folder)
        for path in (checkpoint_path(self.out, t) for t in grid if t.key not in going_on):
            if path.is_file() and not self._behind_a_link(path):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.out / layout.CHECKPOINTS).rmdir()

    def _behind_a_link(self, path: Path) -> bool:
        """True if a path below `out`, or a folder on the way to it, is a link."""
        below = (p for p in (path, *path.parents) if self.out in p.parents)
        return any(p.is_symlink() for p in below)

    def failed(self, grid: Iterable[Trial]) -> list[Trial]:
        """Trials that ended in an error."""
        return [trial for trial in grid if self._has_failed(trial)]

    def merge(self, grid: Iterable[Trial]) -> pd.DataFrame:
        """All rows of the finished trials, in the order of the study, kept as results.parquet.

        Raises:
            StoreError: A trial's file cannot be read, or the table cannot be written.
        """
        self.join(grid)
        return self.load()

    def join(self, grid: Iterable[Trial]) -> None:
        """Write the merged table, and the one of a row a trial, in the order of the study.

        Raises:
            StoreError: A trial's file cannot be read, or the table cannot be written.
        """
        chosen = self._chosen(grid)
        keep_results_file(self.results, lambda temporary: self._join(chosen, temporary))

    def _chosen(self, grid: Iterable[Trial]) -> list[Trial]:
        """The trials that have rows."""
        kept = self.kept()
        return [trial for trial in grid if trial.key in kept]

    def _made_of(self, chosen: Iterable[Trial]) -> str:
        """Digest of the files that the merged table is made from."""
        return content_hash([checksums.results_fingerprint(self.path(trial)) for trial in chosen])

    def _join(self, chosen: Sequence[Trial], target: Path) -> None:
        """No more than a row group in memory; each holds whole trials.

        The table of trials is written first: one beside merged results is never of older ones.
        """
        required = self.checksummed
        origins = Origins()
        with table_writer(target, SCHEMA, made_of=self._made_of(chosen)) as writer:
            held, rows = [SCHEMA.empty_table()], 0
            for trial in chosen:
                held.append(read_trial(self.path(trial), trial.study, required))
                if held[-1].column("status")[0].as_py() != "failed":
                    origins.add(trial, self.path(trial))
                rows += len(held[-1])
                if rows >= ROW_GROUP:
                    writer.write_table(pa.concat_tables(held), rows)
                    held, rows = [SCHEMA.empty_table()], 0
            writer.write_table(pa.concat_tables(held), rows or None)
            write_mixed(writer, origins.mixed)
        self.pivot(target)

    def pivot(self, results: Path | None = None) -> None:
        """Write the table of a row a trial from the merged table; see `write_trials`.

        Args:
            results: The merged table, where it is not in its place yet.

        Raises:
            InvalidInput: The merged table cannot be read.
            StoreError: The table cannot be written.
        """
        made_of = results or self.results
        keep_results_file(
            self.out / layout.TRIALS, lambda temporary: write_trials(made_of, temporary)
        )

    def stale(self, grid: Iterable[Trial]) -> bool:
        """True if the merged table is not that of the kept trials, or not as it was written."""
        try:
            checksums.check(self.results)
            made_of = pq.read_metadata(self.results).metadata[b"made_of"].decode()
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException):
            return True
        return bool(made_of != self._made_of(self._chosen(grid)))

    def cautions(self, grid: Sequence[Trial]) -> list[str]:
        """What a reader of the report should know of the files, a line each."""
        said = []
        kept = self.kept()
        if lacking := len(grid) - len(kept):
            said.append(
                f"{lacking} of {len(grid)} trials have no result; --resume runs them. "
                f"{seeds_text([trial for trial in grid if trial.key in kept], grid)}"
            )
        if not self.checksummed and (unchecked := self.unchecked()):
            said.append(
                f"{self.out}: an older version wrote {unchecked} of {len(grid)} trials without "
                "checksums: damage to them would go unnoticed."
            )
        try:
            recorded_runs(self.out)
        except StoreError as error:
            said.append(f"{error}; the report does not say how the results were made.")
        try:
            checksums.check(self.results)
        except FileNotFoundError:
            pass  # not merged yet
        except (OSError, ValueError) as error:
            said.append(f"{self.results}: {reason(error)}; it is merged anew from the trials.")
        return said

    def load(self) -> pd.DataFrame:
        """The merged table.

        Raises:
            InvalidInput: There is none.
            StoreError: It cannot be read.
        """
        if not self.results.is_file():
            raise InvalidInput("DIR", str(self.out), f"a directory that holds {layout.RESULTS}")
        table: pd.DataFrame = read_table(self.results, SCHEMA).to_pandas()
        return table


def seeds_text(ended: Iterable[Trial], grid: Iterable[Trial]) -> str:
    """How many seeds the cells of a study have, in a sentence.

    Args:
        ended: The trials that have rows.
        grid: Every trial of the study.
    """
    planned, counts = (
        Counter(trial.cell.key for trial in some if not trial.cell.is_reference)
        for some in (grid, ended)
    )
    seeds = [counts[key] for key in planned]
    least, most = min(seeds), max(seeds)
    of = f"of its {max(planned.values())} seeds"
    if least == most:
        return f"Every cell has {least} {of}."
    return f"Every cell has {least} to {most} {of}, not equally many."


def checkpoint_path(out: Path, trial: Trial) -> Path:
    """Path of the state of a trial that is under way."""
    return out / layout.CHECKPOINTS / f"{trial.key}.zip"


def identity(study: Study) -> str:
    """Hash of what makes a study another one: all but seeds, hypotheses and references."""
    return content_hash(_content(study))


def _refuse_files(study: Study, path: Path) -> None:
    """Refuse to run files that a results directory names: it may be a stranger's.

    Raises:
        InvalidInput: A world of the study is in a file that nobody had imported here.
    """
    for block, _ in study.blocks():
        for id in (entry.id for entry in block.worlds):
            if not worlds.runs_no_file(id):
                allowed = f"worlds whose code is not run because {path} says so"
                hint = f"If that file is yours, write: powerseek report {path.parent} --world {id}"
                raise InvalidInput("world", id, allowed, hint)


def _content(study: Study) -> dict[str, Any]:
    content = study.model_dump(mode="json")
    # More seeds, other claims about the same trials, what they are held against and what is
    # trained side by side leave the trials what they are.
    for name in ("seeds", "looks", "hypotheses", "references"):
        content.pop(name)
    if content["first_seed"] == 0:  # a study kept its identity when the key was added
        content.pop("first_seed")
    if content["layouts"] is None:  # likewise
        content.pop("layouts")
    for block in (content, *content["also"]):
        if block["phases"] is None:
            block.pop("phases")
        for entry in block["worlds"] or ():
            if entry["shift"] is None:
                entry.pop("shift")
    return content | {"cohort": None}


def _manifest(study: Study) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "powerseek": __version__,
        "study": study.name,
        "identity": identity(study),
        "seeds": study.seeds,
        "content": _content(study),
        "files": layout.MEANING,
    }
