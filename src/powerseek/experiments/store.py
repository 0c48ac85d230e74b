"""Results on disk: each trial written atomically when it ends, merged into one table."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments.grid import Trial, digest
from powerseek.experiments.preregistration import (
    NAME as REGISTRATION,
)
from powerseek.experiments.preregistration import (
    may_have_begun,
    registered,
    registration,
)
from powerseek.experiments.study import Study

TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
SCHEMA = pa.schema(
    [
        *[(name, TEXT) for name in ("study", "world")],
        ("version", WHOLE),
        ("params", TEXT),
        ("openness", NUMBER),
        *[(name, TEXT) for name in ("goal", "layout", "reward")],
        ("power_weight", NUMBER),
        ("gamma", NUMBER),
        ("max_steps", WHOLE),
        ("time_limit", TEXT),
        ("gae_lambda", NUMBER),
        ("n_step", WHOLE),
        ("lookahead", WHOLE),
        ("agent", TEXT),
        *[(name, WHOLE) for name in ("seed", "timesteps", "updates")],
        *[(name, TEXT) for name in ("checkpoint", "evaluation", "metric")],
        *[(name, NUMBER) for name in ("value", "low", "high")],
        ("n", WHOLE),
        *[(name, TEXT) for name in ("unit", "status", "trial")],
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
ROW_GROUP = 1 << 20
MODELS = "models"
CHECKPOINTS = "checkpoints"
FAILED_ROW = {"checkpoint": "end", "evaluation": "sampled", "metric": "failed"}


class StoreError(PowerseekError):
    """The results directory cannot be written or read."""


class DiskFull(StoreError):
    """No space is left for results."""


class Store:
    """One study's results directory.

    Args:
        out: The directory; made absolute.
    """

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out).expanduser().absolute()
        self.trials = self.out / "trials"
        self.results = self.out / "results.parquet"

    def open(self, study: Study, grid: Sequence[Trial], resume: bool) -> None:
        """Begin or take up a study here; nothing is written where it is refused.

        Raises:
            InvalidInput: Not empty and not `resume`; or it holds another study.
            StoreError: Not writable.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InvalidInput("--out", str(self.out), "a directory")
        guard(self.out, self._check, study, grid, resume)
        guard(self.out, self._begin, study, grid)

    def _check(self, study: Study, grid: Sequence[Trial], resume: bool) -> None:
        if not self.out.exists() or not any(self.out.iterdir()):
            return
        if not resume:
            hint = f"Go on with: powerseek sweep {study.name} --out {_shown(self.out)} --resume"
            raise InvalidInput("--out", str(self.out), "an empty or absent directory", hint)
        held = self.manifest()
        if not held:
            allowed = "an empty directory, or one that holds this study (it has no manifest.json)"
            raise InvalidInput("--out", str(self.out), allowed)
        if held.get("identity") != identity(study):
            allowed = (
                f"the study it already holds ({held.get('study')!r}, {_different(held, study)})"
            )
            raise InvalidInput("--out", str(self.out), allowed, "Choose another --out.")
        if int(held["seeds"]) > study.seeds:
            allowed = f"at least the {held['seeds']} seeds that {self.out} already holds"
            raise InvalidInput("seeds", study.seeds, allowed)

    def _begin(self, study: Study, grid: Sequence[Trial]) -> None:
        kept = self._preregister(study, grid)
        for folder in (self.trials, self.out / "errors", self.out / "oracles"):
            folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(study.model_dump(mode="json", exclude_unset=True), sort_keys=False)
        write_atomically(self.out / "study.yaml", lambda path: path.write_text(text))
        self._write_json("manifest.json", {**_manifest(study), "preregistered": kept["hash"]})

    def _preregister(self, study: Study, grid: Sequence[Trial]) -> dict[str, Any]:
        """Keep what the study claims, before any trial starts; changes are added, never hidden."""
        held = self._read_json(REGISTRATION)
        content = registration(study, list({t.cell.key: t.cell for t in grid}.values()))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        begun = self.out.is_dir() and may_have_begun(self.out)
        kept = registered(held, content, digest(content), begun, now)
        if kept != held:
            self._write_json(REGISTRATION, kept)
        return kept

    def manifest(self) -> dict[str, Any]:
        """What the directory says it holds; empty where it has none.

        Raises:
            StoreError: It is there and cannot be read.
        """
        return self._read_json("manifest.json")

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            held = json.loads((self.out / name).read_text())
            if not isinstance(held, dict):
                raise ValueError("it holds no mapping")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.out / name}: cannot be read: {error}") from None
        return held

    def provenance(self, study: Study, grid: Sequence[Trial], run: Mapping[str, Any]) -> None:
        """Record what made the results; wall times of resumed runs add up."""
        path = self.out / "provenance.json"
        before = json.loads(path.read_text()) if path.is_file() else {}
        runs = [*before.get("runs", []), dict(run)]
        self._write_json(
            path.name,
            {
                "study": study.name,
                "identity": identity(study),
                "preregistered": self._read_json(REGISTRATION).get("hash"),
                "trials": len(grid),
                "seeds": study.seeds,
                "wall_seconds": sum(run["wall_seconds"] for run in runs),
                "runs": runs,
            },
        )

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=2) + "\n"
        path = self.out / name
        guard(self.out, write_atomically, path, lambda temporary: temporary.write_text(text))

    def path(self, trial: Trial) -> Path:
        """Where the rows of one trial lie."""
        return self.trials / f"{trial.key}.parquet"

    def error_path(self, trial: Trial) -> Path:
        """Where the error text of a failed trial lies."""
        return self.out / "errors" / f"{trial.key}.txt"

    def write(self, trial: Trial, rows: pd.DataFrame) -> None:
        """Keep one finished trial, all of it or nothing.

        Raises:
            DiskFull: No space is left.
            StoreError: Not writable.
        """
        table = pa.Table.from_pandas(rows[list(COLUMNS)], SCHEMA, preserve_index=False)
        path = self.path(trial)
        guard(path, write_atomically, path, lambda temporary: pq.write_table(table, temporary))
        self.error_path(trial).unlink(missing_ok=True)
        checkpoint_path(self.out, trial).unlink(missing_ok=True)

    def write_failed(self, trial: Trial, error: str, resumable: bool = False) -> None:
        """Keep a failed trial: one row, and its error beside it.

        Args:
            trial: The trial.
            error: What a reader should know.
            resumable: Whether another try may go on from its checkpoint; else that is removed.
        """
        if not resumable:
            checkpoint_path(self.out, trial).unlink(missing_ok=True)
        path = self.error_path(trial)
        guard(path, write_atomically, path, lambda temporary: temporary.write_text(error))
        row = {**describe(trial), **FAILED_ROW, "status": "failed"}
        table = pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS}], SCHEMA)
        target = self.path(trial)
        guard(target, write_atomically, target, lambda tmp: pq.write_table(table, tmp))

    def missing(self, grid: Iterable[Trial]) -> list[Trial]:
        """Trials without a result, and failed ones, which a resume tries again."""
        return [t for t in grid if not self.path(t).is_file() or self.error_path(t).is_file()]

    def tidy(self, grid: Iterable[Trial]) -> None:
        """Remove what killed processes left: half-written files, checkpoints of finished trials.

        Only while nothing is running.
        """
        kept = {checkpoint_path(self.out, trial) for trial in self.missing(grid)}
        checkpoints = self.out / CHECKPOINTS
        for path in checkpoints.glob("*"):
            if path not in kept:
                path.unlink(missing_ok=True)
        for folder in (self.out, *(path for path in self.out.glob("*") if path.is_dir())):
            for path in folder.glob(".*.*"):
                if path.is_file():
                    path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            checkpoints.rmdir()

    def failed(self, grid: Iterable[Trial]) -> list[Trial]:
        """Trials that ended in an error."""
        return [t for t in grid if self.path(t).is_file() and self.error_path(t).is_file()]

    def merge(self, grid: Iterable[Trial]) -> pd.DataFrame:
        """All rows of the finished trials, in the order of the study, kept as results.parquet.

        Raises:
            StoreError: A trial's file cannot be read, or the table cannot be written.
        """
        self.join(grid)
        return self.load()

    def join(self, grid: Iterable[Trial]) -> None:
        """Write results.parquet of the finished trials, in the order of the study, in parts.

        Raises:
            StoreError: A trial's file cannot be read, or the table cannot be written.
        """
        paths = [path for trial in grid if (path := self.path(trial)).is_file()]
        guard(self.results, write_atomically, self.results, lambda tmp: _join(paths, tmp))

    def stale(self, grid: Iterable[Trial]) -> bool:
        """Whether a trial was kept or a claim changed after the last merge, or there was none."""
        if not self.results.is_file():
            return True
        merged = self.results.stat().st_mtime_ns
        paths = (self.out / REGISTRATION, *(self.path(trial) for trial in grid))
        return any(path.stat().st_mtime_ns > merged for path in paths if path.is_file())

    def load(self) -> pd.DataFrame:
        """The merged table.

        Raises:
            InvalidInput: There is none.
        """
        if not self.results.is_file():
            raise InvalidInput("DIR", str(self.out), "a directory that holds results.parquet")
        return _frame(_read(self.results))


def checkpoint_path(out: Path, trial: Trial) -> Path:
    """Where the state of a trial that is under way lies."""
    return out / CHECKPOINTS / f"{trial.key}.zip"


def describe(trial: Trial) -> dict[str, Any]:
    """The columns of the results that say what a trial is."""
    cell, params = trial.cell, dict(trial.cell.params)
    own = {name: params.pop(name, None) for name in ("openness", "goal", "layout")}
    params.pop("max_steps", None)
    return {
        "study": trial.study,
        "world": cell.world,
        "version": cell.version,
        "params": json.dumps(params, sort_keys=True),
        "openness": None if own["openness"] is None else float(own["openness"]),
        "goal": None if own["goal"] is None else str(own["goal"]),
        "layout": None if own["layout"] is None else str(own["layout"]),
        "reward": cell.reward_label,
        "power_weight": cell.power_weight,
        "gamma": cell.gamma,
        "max_steps": cell.max_steps,
        "time_limit": cell.time_limit,
        "gae_lambda": cell.gae_lambda,
        "n_step": cell.n_step,
        "lookahead": cell.lookahead,
        "agent": cell.agent,
        "seed": trial.seed,
        "trial": trial.key,
    }


def identity(study: Study) -> str:
    """Hash of all that makes a study another study: everything but seeds and hypotheses."""
    return digest(_content(study))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary neighbour of `path` and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def guard(path: Path, action: Callable[..., None], *args: Any) -> None:
    """Turn an operating system's refusal into one clear message."""
    try:
        action(*args)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"{path}: {reason}. Finished trials are kept; free some space and run the same "
                "command with --resume."
            ) from None
        raise StoreError(f"{path}: cannot be written: {reason}") from None


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        hint = f"Remove {path} and run the sweep again with --resume."
        raise StoreError(f"{path}: not a table of results: {error}. {hint}") from None


def _join(paths: Sequence[Path], target: Path) -> None:
    """The tables of many small files as one, no more than a row group of it in memory."""
    with pq.ParquetWriter(target, SCHEMA) as writer:
        held: list[pa.Table] = []
        rows = 0
        for path in paths:
            held.append(_read(path))
            rows += len(held[-1])
            if rows >= ROW_GROUP:
                writer.write_table(pa.concat_tables(held))
                held, rows = [], 0
        writer.write_table(pa.concat_tables(held) if held else SCHEMA.empty_table())


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _content(study: Study) -> dict[str, Any]:
    content = study.model_dump(mode="json")
    # More seeds, and other claims about the same trials, leave the trials what they are.
    for name in ("seeds", "hypotheses"):
        content.pop(name)
    return content


def _manifest(study: Study) -> dict[str, Any]:
    return {
        "study": study.name,
        "identity": identity(study),
        "seeds": study.seeds,
        "content": _content(study),
        "files": {
            "results.parquet": "one row per trial x checkpoint x evaluation x metric",
            "trials": "the rows of each trial, by its identity",
            "errors": "the error of each failed trial",
            "oracles": "exact numbers of each setting",
            "models": "trained agents",
            "checkpoints": "where each unfinished trial goes on with --resume",
            "tensorboard": "curves and hyperparameters as TensorBoard reads them",
            "curves.parquet": "one row per trial x evaluation while training",
            "frontiers.parquet": "need and most of each setting, one row per vertex",
            "study.yaml": "the study",
            REGISTRATION: "its hypotheses as fixed before the first trial, and what changed since",
            "provenance.json": "what made these results",
        },
    }


def _different(held: Mapping[str, Any], study: Study) -> str:
    before, now = held.get("content", {}), _content(study)
    keys = [key for key in now if before.get(key) != now[key]]
    return f"different: {', '.join(keys)}" if keys else "of another version"


def _shown(path: Path) -> str:
    """A path as a user would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
