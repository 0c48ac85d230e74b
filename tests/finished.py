"""Finished studies whose results are made up: the numbers are chosen, so that effects are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from powerseek.experiments import layout
from powerseek.experiments.results.files import write_table
from powerseek.experiments.results.schema import SCHEMA
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study

TIMING = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}


def finished(folder: Path, rows: list, hypotheses=(TIMING,), world="homestead", **keys) -> Path:
    """A results directory that holds these rows and names these hypotheses."""
    study = make_study(
        {
            "name": folder.name,
            "worlds": [{"id": world}],
            "rewards": ["dense", {"every": "cap"}],
            "power_weight": [0.0, 1.0],
            "seeds": 16,
            "timesteps": 300_000,
            "hypotheses": list(hypotheses),
            **keys,
        }
    )
    store = Store(folder)
    store.open(study, trials(study), resume=False)
    table = pd.DataFrame([row for own in rows for row in own])
    columns = [
        pa.array(table[f.name], from_pandas=True).cast(f.type)
        if f.name in table
        else pa.nulls(len(table), f.type)
        for f in SCHEMA
    ]
    write_table(folder / layout.RESULTS, pa.table(columns, SCHEMA))
    return folder
