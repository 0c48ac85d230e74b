"""Whether what was drawn is of what lies there: told by content, never by time or presence."""

from __future__ import annotations

from pathlib import Path

from powerseek import __version__
from powerseek.experiments import layout
from powerseek.experiments.checksums import Record, fingerprint
from powerseek.experiments.results.files import StoreError, names, read_record, write_json
from powerseek.experiments.study.grid import digest


class _Drawn(Record):
    """Digest of what was drawn from, and of each file that was made, by its path."""

    sources: str
    files: dict[str, str]


def sources(out: Path) -> str:
    """Digest of all that a report is made from, and of the version that makes it."""
    single = (layout.RESULTS, layout.STUDY, layout.REGISTRATION, layout.PROVENANCE)
    folders = (layout.ORACLES, layout.CURVES, layout.REPLAYS)
    paths = [*single, *(f"{folder}/{n}" for folder in folders for n in sorted(names(out / folder)))]
    return digest([__version__, {path: fingerprint(out / path) for path in paths}])


def is_drawn(out: Path, made_of: str) -> bool:
    """True if the report, its tables and its pictures are those of these `sources`."""
    try:
        held = read_record(out / layout.DRAWN, _Drawn)
    except StoreError:
        return False
    return held == {**held, "sources": made_of, "files": _files(out)}


def note_drawn(out: Path, made_of: str) -> None:
    """Keep what was drawn, and from which `sources`.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    write_json(out / layout.DRAWN, {"sources": made_of, "files": _files(out)})


def _files(out: Path) -> dict[str, str]:
    tables = (f"{layout.INTERNALS}/{name}.parquet" for name in ("curves", "frontiers"))
    figures = (f"{layout.FIGURES}/{name}" for name in sorted(names(out / layout.FIGURES)))
    made = (layout.REPORT, layout.SUMMARY, layout.TRIALS, *tables, *figures)
    return {name: fingerprint(out / name) for name in made}
