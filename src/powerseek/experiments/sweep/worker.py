"""A worker's piece of work: run a cohort, keep each trial's rows or what it failed of."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from powerseek.agents import TrainingFailed
from powerseek.errors import PowerseekError, reason_of
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.origin import origin_of
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.grid import Trial
from powerseek.experiments.sweep.trial import Broken, run_trials


def run_and_keep(
    trials: Sequence[Trial],
    store: Store,
    checkpoint_seconds: float,
    caution: Callable[[str], None],
    broken: Broken = lambda metric, why: None,
) -> list[bool]:
    """Run a cohort and keep each trial's rows, or its error; True for those that have rows.

    Args:
        trials: The cohort, perhaps of one.
        store: Where rows go.
        checkpoint_seconds: Seconds of training between checkpoints.
        caution: See `run_trials`.
        broken: Likewise.

    Raises:
        StoreError: The results cannot be written.
    """
    how: dict[str, Any] = {
        "checkpoint_seconds": checkpoint_seconds,
        "caution": caution,
        "sent": store.sent,
        "broken": broken,
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
