"""The golden: a tiny study whose rows must not change unless a commit says so on purpose.

`make golden BASE=COMMIT` compares every row, those of trained agents too, with another commit's
on this machine: ``python tests/golden.py SOURCE OTHER_SOURCE``, each the ``src`` of a checkout.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

STUDY = {
    "name": "golden",
    "worlds": [{"id": "star"}, {"id": "off-switch"}],
    "rewards": ["dense", {"every": "cap"}],
    "agents": ["maskable-ppo"],
    "timesteps": 2048,
    "evaluations": 2,
    "episodes": 50,
    "references": ["random", "minimalist", "hoarder", "optimum", "minimal-need"],
}
# Columns of the first golden; what is added to the results later is not part of it.
KEYS = ["world", "params", "openness", "reward", "gamma", "max_steps", "agent", "seed"]
KEYS += ["checkpoint", "evaluation", "metric"]
COUNTS = ["timesteps", "updates", "n"]
NUMBERS = ["value", "low", "high"]
WORDS = ["unit", "status"]
DIGITS = 9
"""Significant digits that are compared across machines, where sums differ in the last bits."""


def rows(out: Path) -> pd.DataFrame:
    """Run the study under `out`: its rows, sorted, with the columns of the golden."""
    from powerseek.experiments import run_study
    from powerseek.experiments.study import make_study

    results = run_study(make_study(STUDY), out, workers=2).results
    columns = [*KEYS, *COUNTS, *NUMBERS, *WORDS]
    return results[columns].sort_values(KEYS, ignore_index=True)


def portable(table: pd.DataFrame) -> pd.DataFrame:
    """What is the same on every machine: rows of scripts and exact rows whole, of others counts.

    Networks are trained in float32, whose products differ between processors.
    """
    learnt = table["updates"] > 0
    exact = table["metric"].str.startswith("optimum_") | (table["metric"] == "incentive")
    told = table.astype(dict.fromkeys((*NUMBERS, *WORDS), object))
    told.loc[learnt & ~exact, [*NUMBERS, *WORDS]] = "trained"
    return told


def digest(table: pd.DataFrame) -> str:
    """sha256 of the rows as text, numbers to `DIGITS` significant digits."""

    def told(value: object) -> str:
        # Of an exact 0 rounding leaves what differs between processors.
        return f"{round(value, 12) + 0.0:.{DIGITS}g}" if isinstance(value, float) else str(value)

    text = portable(table).map(told)
    return hashlib.sha256(text.to_csv(index=False).encode()).hexdigest()


def rows_of(source: Path, out: Path) -> pd.DataFrame:
    """`rows` by the code under `source`."""
    table = out / "golden.pkl"
    script = f"import golden; from pathlib import Path; golden.rows(Path({str(out / 'run')!r}))"
    paths = [str(source.resolve()), str(Path(__file__).parent)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    code = f"{script}.to_pickle({str(table)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=out)
    found: pd.DataFrame = pd.read_pickle(table)
    return found


def main(source: Path, other: Path) -> int:
    """Compare the golden of two checkouts; the exit code."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        mine, theirs = rows_of(source, Path(one)), rows_of(other, Path(two))
    print(f"{len(mine)} and {len(theirs)} rows; {digest(mine)} and {digest(theirs)}")
    if mine.equals(theirs):
        print("identical to the last bit")
        return 0
    both = mine.merge(theirs, how="outer", indicator=True)
    print(both[both["_merge"] != "both"].to_string(max_rows=40))
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
