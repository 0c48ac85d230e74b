"""A worker's piece of work: run a cohort, keep each trial's rows or what it failed of."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from powerseek.agents import TrainingFailed
from powerseek.errors import PowerseekError, ProcessLeft
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.origin import origin_of
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.sweep.trial import run_trials


def run_and_keep(
    trials: Sequence[Trial],
    store: Store,
    checkpoint_seconds: float,
    caution: Callable[[str], None],
) -> list[bool]:
    """Run a cohort and keep each trial's rows, or its error; True for those that have rows.

    Args:
        trials: The cohort, perhaps of one.
        store: Where rows go.
        checkpoint_seconds: Seconds of training between checkpoints.
        caution: See `run_trials`.

    Raises:
        StoreError: The results cannot be written.
    """
    how: dict[str, Any] = {
        "checkpoint_seconds": checkpoint_seconds,
        "caution": caution,
        "sent": store.sent,
    }
    with store.naming():
        store.begin(trials)
        return [_kept(trial, found, store) for trial, found in run_trials(trials, store.out, **how)]


def _kept(trial: Trial, found: pd.DataFrame | Exception, store: Store) -> bool:
    """Keep what came of a trial; whether it has rows."""
    try:
        if isinstance(found, Exception):
            raise found
        store.write(trial, found, origin_of(trial.cell))
    except StoreError:
        raise
    except TrainingFailed as error:
        failure = error.failure
        told = [*getattr(error, "__notes__", ()), f"{failure.trace}{error}"]
        reached = {"timesteps": failure.timesteps, "updates": failure.updates}
        last = f"at step {failure.timesteps:,}: {reason_of(failure.error or error)}"
        store.write_failed(trial, "\n".join([*told, last, ""]), reached=reached)
    except PowerseekError as error:
        store.write_failed(trial, f"{reason_of(error)}\n")
    except Exception as error:
        store.write_failed(trial, f"{traceback.format_exc()}{reason_of(error)}\n")
    else:
        return True
    return False


LIBRARIES = (
    *("gymnasium", "importlib", "numba", "numpy", "pandas", "pyarrow", "sb3_contrib", "scipy"),
    *("stable_baselines3", "torch"),
)
"""Packages whose own lines are not where a reader would look first."""


def reason_of(error: BaseException) -> str:
    """The exception's own words in one line, and the function, file and line that raised it."""
    inner = error.__cause__ or error
    frames = [
        (frame.f_code, line)
        for frame, line in traceback.walk_tb(inner.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES
    ]
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if not frames or isinstance(error, ProcessLeft):  # which says itself where it was raised
        return words
    code, line = frames[-1]
    return f"{words} (in {code.co_qualname}, {Path(code.co_filename).name} line {line})"
