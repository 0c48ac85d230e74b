"""Files of an analysis: one row a state, and pictures beside it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP
from powerseek.experiments.cli.analyse.analysis import WorldAnalysis
from powerseek.experiments.results.files import guarded_results_file, keep_results_file

STATES, FILES = "states.parquet", ("power.png", "frontier.png", "states.parquet")

OWN = (
    *("state", "terminal", "initial", "distance"),
    *("power", "power_standard_error", "empowerment_bits"),
)


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier analysis.

    Raises:
        InvalidInput: It does, or it is no folder.
        StoreError: It cannot be read.
    """
    with guarded_results_file(out, "read"):
        there = out.exists()
        if there and not out.is_dir():
            raise InvalidInput("--out", str(out), "a directory")
        held = sorted(path.name for path in out.iterdir()) if there else []
    other = [name for name in held if name not in FILES]
    if other:
        allowed = f"an empty or absent directory, or one that holds an analysis, not {other[0]!r}"
        raise InvalidInput("--out", str(out), allowed, "Choose another --out.")


def states_table(analysis: WorldAnalysis) -> pa.Table:
    """One row a state, in the order of the enumeration; units are said in `WorldAnalysis`.

    Columns: the fields of the record (``ripe[0]`` for one of several), the facts as
    ``fact.progress``, and `OWN`. A field that has the name of one of these is ``record.NAME``.
    The settings are kept as JSON under the key ``powerseek`` of the schema's metadata.
    """
    mdp = analysis.mdp
    columns: dict[str, Any] = {"state": np.arange(mdp.n_states)}
    assert mdp.records is not None
    for name in analysis.world.identity:
        column = f"record.{name}" if name in OWN else name
        columns |= _flat(column, np.asarray(mdp.records[name]))
    flows = {fact.name for fact in analysis.world.facts if fact.flow}
    for i in _present(mdp):
        if mdp.fact_names[i].split("[")[0] not in flows:
            columns[f"fact.{mdp.fact_names[i]}"] = mdp.state_facts[:, i]
    columns |= {
        "terminal": mdp.terminal,
        "initial": mdp.initial,
        "distance": analysis.distance,
        "power": analysis.power.values,
        "power_standard_error": analysis.power.standard_error,
        "empowerment_bits": analysis.bits,
    }
    return pa.table(columns).replace_schema_metadata({"powerseek": json.dumps(_about(analysis))})


def write_states(analysis: WorldAnalysis, out: Path) -> Path:
    """Write `states_table` into a folder, all of it or nothing.

    Raises:
        StoreError: The folder cannot be written.
    """
    table = states_table(analysis)
    keep_results_file(out / STATES, lambda temporary: pq.write_table(table, temporary))
    return out / STATES


def make_folder(out: Path) -> None:
    """Make the folder, so that a refusal comes before the long part.

    Raises:
        StoreError: It cannot be made, or not be written.
    """
    with guarded_results_file(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()


def _flat(name: str, values: Any) -> dict[str, Any]:
    """One column a component."""
    if values.ndim == 1:
        return {name: values}
    parts = values.reshape(len(values), -1)
    return {f"{name}[{i}]": parts[:, i] for i in range(parts.shape[1])}


def _about(analysis: WorldAnalysis) -> dict[str, Any]:
    measured, empowered = analysis.power, analysis.empowerment
    return {
        "world": analysis.world.id,
        "version": analysis.world.version,
        "params": analysis.world.params._asdict(),
        "gamma": measured.gamma,
        "rewards": measured.rewards,
        "samples": measured.samples,
        "seed": analysis.seed,
        "power_error": measured.error,
        "empowerment_steps": None if empowered is None else empowered.n,
    }


def _present(mdp: TabularMDP) -> list[int]:
    """Columns of facts that exist at these parameters."""
    return [i for i, name in enumerate(mdp.fact_names) if name.split("[")[0] not in mdp.absent]
