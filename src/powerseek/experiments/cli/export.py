"""Results for other programs: CSV, one row a trial, LaTeX tables, and an archive to keep."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TypeAlias

import pyarrow.parquet as pq

from powerseek.errors import InvalidInput
from powerseek.experiments import checksums, layout
from powerseek.experiments.results.files import (
    StoreError,
    folder_of,
    guarded_results_file,
    read_column,
    reason,
)
from powerseek.experiments.results.remote import store_at
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.store import Store
from powerseek.files import write_atomically

OUTPUT = "-"
"""What stands for standard output."""
NAMES = {
    "--csv": ("results.csv", (".csv",)),
    "--wide": ("trials.csv", (".csv", ".parquet")),
    "--latex": ("tables.tex", (".tex",)),
}
"""By option, the file's name in a folder, and the ends that a file may have."""
ARCHIVE = "--archive"
Write: TypeAlias = Callable[[Path | IO[str]], None]


def export(run: str, asked: Mapping[str, str | None], caution: Callable[[str], None]) -> list[Path]:
    """Write what was asked for of a results directory, in which nothing is changed.

    Args:
        run: The ``--out`` of a sweep.
        asked: By option, a file, a folder, or ``-`` for standard output; None where not asked for.
        caution: Is told what a reader of the files should know, in a line.

    Returns:
        The files.

    Raises:
        InvalidInput: No results are there, or something is asked for that cannot be written.
        StoreError: They cannot be read, or a file cannot be written.
    """
    wanted = {option: given for option, given in asked.items() if given is not None}
    _check(wanted)
    store = store_at(run, "RUN")
    with store.naming():
        store.fetch()
        _check_run(store, run, caution)
        folder = _folder(wanted.pop(ARCHIVE), store) if ARCHIVE in wanted else None
        targets = {option: _target(option, given, store) for option, given in wanted.items()}
        if folder is not None:
            _write_archive(store, folder)
        for option, target in targets.items():
            write = _writer(option, target, store, run)
            if target is None:
                write(sys.stdout)
            else:
                with guarded_results_file(target):
                    write_atomically(target, write)
    return [target for target in (folder, *targets.values()) if target is not None]


def _check(wanted: Mapping[str, str]) -> None:
    if not wanted:
        allowed = f"at least one of {', '.join([*NAMES, ARCHIVE])}"
        raise InvalidInput("export", None, allowed, "Write for example --csv results.csv.")
    if list(wanted.values()).count(OUTPUT) > 1:
        allowed = "one option only: what follows on standard output would be mixed"
        raise InvalidInput(" and ".join(wanted), OUTPUT, allowed, "Write a file for the others.")


def _folder(given: str, store: Store) -> Path:
    """The folder of an archive, seen to be free for it."""
    from powerseek.experiments.report.archive import check_folder

    if given in ("", OUTPUT):
        allowed = "a folder: an archive is several files"
        raise InvalidInput(
            ARCHIVE, given, allowed, "Write for example --archive docs/studies/NAME."
        )
    folder = folder_of(given, ARCHIVE)
    check_folder(folder, given, store)
    return folder


def _write_archive(store: Store, folder: Path) -> None:
    from powerseek.experiments.report.archive import write_archive
    from powerseek.experiments.study.checked import trials

    grid = trials(store.study())
    store.check(grid)
    write_archive(store, grid, folder)


def _check_run(store: Store, run: str, caution: Callable[[str], None]) -> None:
    """See that results are there, and tell of trials that are not in the merged table."""
    if not store.manifest():
        allowed = f"a results directory of a sweep (it would hold {layout.MANIFEST})"
        raise InvalidInput("RUN", run, allowed)
    hint = f"To have it made anew: powerseek report {shlex.quote(run)}"
    for name in (layout.RESULTS, layout.TRIALS):
        try:
            checksums.check(store.out / name, store.checksummed)
        except FileNotFoundError:
            raise InvalidInput("RUN", run, f"a directory that holds {name}", hint) from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{store.out / name}: {reason(error)}. {hint}") from None
    merged = read_column(store.results, SCHEMA, "trial")
    if lacking := len(store.kept().difference(merged)):
        caution(f"{lacking} trials have ended since {store.results} was merged. {hint}")


def _target(option: str, given: str, store: Store) -> Path | None:
    """The file that an option names; None of standard output."""
    if given == OUTPUT:
        return None
    name, ends = NAMES[option]
    path = folder_of(given, option)
    if given and (path.is_dir() or given.endswith("/")):
        path = path / name
    if path.suffix.lower() not in ends:
        allowed = f"a file that ends in {' or '.join(ends)}, a folder, or - for standard output"
        raise InvalidInput(option, given, allowed, f"Write for example {option} {name}.")
    if _is_of_run(path, store.out):
        allowed = "a file that is none of the run's own"
        raise InvalidInput(option, given, allowed, f"Write for example {option} {name}.")
    return path


def _is_of_run(path: Path, out: Path) -> bool:
    resolved, folder = path.resolve(), out.resolve()
    inside = resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else ""
    return inside.startswith(f"{layout.INTERNALS}/") or inside in layout.MEANING


def _writer(option: str, target: Path | None, store: Store, run: str) -> Write:
    """A function that writes what an option asks for, to a file or a stream."""
    if option == "--latex":
        return partial(_write_latex, store.out)
    name = layout.TRIALS if option == "--wide" else layout.RESULTS
    source = store.out / name
    if target is not None and target.suffix.lower() == ".parquet":
        return partial(_write_parquet, source)
    return partial(_write_csv, source)


def _write_csv(source: Path, target: Path | IO[str]) -> None:
    """Every row, a batch at a time; numbers as Python writes them, "" where there is none."""
    if isinstance(target, Path):
        with target.open("w", encoding="utf-8", newline="") as file:
            return _write_csv(source, file)
    with pq.ParquetFile(source) as file:
        head = file.schema_arrow.empty_table()
        for part in chain([head], file.iter_batches()):
            table = part.to_pandas(integer_object_nulls=True)
            table.to_csv(target, header=part is head, index=False, lineterminator="\n")
    return None


def _write_parquet(source: Path, target: Path | IO[str]) -> None:
    pq.write_table(pq.read_table(source), target)


def _write_latex(folder: Path, target: Path | IO[str]) -> None:
    from powerseek.experiments.report.latex import latex_of_folder

    text = latex_of_folder(folder)
    if isinstance(target, Path):
        target.write_text(text, encoding="utf-8")
    else:
        target.write(text)
