"""A worker's piece of work: run a cohort, keep each trial's rows or what it failed of."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from powerseek.agents import TrainingFailed
from powerseek.errors import PowerseekError
from powerseek.experiments.results.files import StoreError
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
        store.write(trial, found)
    except StoreError:
        raise
    except TrainingFailed as error:
        failure = error.failure
        text = "\n".join([f"{failure.trace}{error}", *getattr(error, "__notes__", ())])
        reached = {"timesteps": failure.timesteps, "updates": failure.updates}
        store.write_failed(trial, f"{text}\n", reached=reached)
    except PowerseekError as error:
        store.write_failed(trial, f"{type(error).__name__}: {error}\n")
    except Exception:
        store.write_failed(trial, traceback.format_exc())
    else:
        return True
    return False
