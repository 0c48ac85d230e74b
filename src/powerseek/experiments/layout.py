"""Places of files below a results directory: what is read at its top, the rest in one folder.

Names are paths below ``--out``, parts joined by ``/``. Nothing else spells them out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from powerseek.experiments.study.grid import Cell, Trial

RESULTS = "results.parquet"
TRIALS = "trials.parquet"
REPORT = "report.html"
SUMMARY = "summary.md"
STUDY = "study.yaml"
FIGURES = "figures"
TENSORBOARD = "tensorboard"

INTERNALS = "internals"
MANIFEST = f"{INTERNALS}/manifest.json"
REGISTRATION = f"{INTERNALS}/preregistration.json"
PROVENANCE = f"{INTERNALS}/provenance.json"
DRAWN = f"{INTERNALS}/drawn.json"
LOCK = f"{INTERNALS}/lock"
ROWS = f"{INTERNALS}/trials"
ERRORS = f"{INTERNALS}/errors"
ORACLES = f"{INTERNALS}/oracles"
MODELS = f"{INTERNALS}/models"
CHECKPOINTS = f"{INTERNALS}/checkpoints"
CURVES = f"{INTERNALS}/curves"
REPLAYS = f"{INTERNALS}/replays"
EVENTS = f"{INTERNALS}/tensorboard"

WRITTEN = (INTERNALS, ROWS, ERRORS, ORACLES, MODELS, CHECKPOINTS, CURVES, REPLAYS, FIGURES)
"""Folders in which files are written whole or not at all, `--out` itself beside them."""

OLDER_MANIFEST = "manifest.json"
"""Of results of format 1, which had everything at the top."""

BEFORE = {REGISTRATION, MANIFEST, STUDY, LOCK}
"""Written before the first trial: any other file means that one has begun."""

MEANING = {
    RESULTS: "one row per trial x checkpoint x evaluation x metric",
    TRIALS: "one row per trial: what it is, how it ended, and each metric at its end (exact first)",
    REPORT: "the report, one page that needs nothing else",
    SUMMARY: "the same as Markdown",
    STUDY: "the study",
    FIGURES: "the report's pictures, as PNG and SVG",
    TENSORBOARD: "means over seeds for TensorBoard: one run a setting, one an arm compared",
    EVENTS: "the same of each trial while it trains: one run a trial",
    REGISTRATION: "the hypotheses as fixed before the first trial, and what changed since",
    PROVENANCE: "what made these results",
    DRAWN: "what the report, its tables and its pictures were made from",
    LOCK: "who is writing here, while a sweep runs",
    ROWS: "the rows of each trial, by its identity",
    ERRORS: "the error of each failed trial",
    ORACLES: "exact numbers of each configuration",
    MODELS: "trained agents",
    CHECKPOINTS: "where each unfinished trial goes on with --resume",
    CURVES: "the learning curve of each trial",
    REPLAYS: "a few episodes of each competent agent, drawn",
    f"{INTERNALS}/curves.parquet": "one row per trial x evaluation while training",
    f"{INTERNALS}/frontiers.parquet": "need and most by configuration and vertex, and their gap",
}


def table(out: Path, name: str) -> Path:
    """Path of a table beside the results: ``curves`` or ``frontiers``."""
    return out / INTERNALS / f"{name}.parquet"


def run_folder(out: Path, trial: Trial) -> Path:
    """Folder of one trial's events, not among the few that are shown first."""
    cell = trial.cell
    return out / EVENTS / cell.world / cell_name(cell) / f"seed-{trial.seed}"


def overview_folder(out: Path) -> Path:
    """Folder of the arms that are compared, few runs whatever the study."""
    return out / TENSORBOARD / "arms"


def cells_folder(out: Path) -> Path:
    """Folder of the cells' means, one run a cell."""
    return out / TENSORBOARD


def cell_name(cell: Cell) -> str:
    """The cell in words, fit for a folder; its identity keeps it apart from others."""
    return re.sub(r"[^\w.=+-]+", "_", cell.label())[:150] + f"_{cell.key[:6]}"
