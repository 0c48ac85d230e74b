"""Tables and texts held against the same made again: equal to the bit, within rounding, or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from powerseek.experiments.results.schema import SCHEMA
from powerseek.types import Bools, Floats

IDENTICAL, ROUNDED, OTHER = "identical", "within rounding", "differs"
ROUNDING = 1e-5
"""Difference of two values that rounding explains, relative where they exceed 1: about a hundred
float32 roundings. Training in float32 may differ by them between processors."""
NUMBERS = ("value", "low", "high")
PLACE = ("checkpoint", "evaluation", "metric")
LONGEST = 160
"""Letters of a line that are shown."""


@dataclass(frozen=True)
class Agreement:
    """Numbers held against the same made again.

    Attributes:
        word: `IDENTICAL`, all to the bit; `ROUNDED`, all within `ROUNDING` and what is no
            measurement (counts, steps, statuses) equal; else `OTHER`.
        greatest: The greatest difference of each named group of numbers that differs.
        apart: What differs beside numbers, in words; empty where nothing does.
    """

    word: str
    greatest: Mapping[str, float] = field(default_factory=dict)
    apart: str = ""


def numbers_agreement(pairs: Iterable[tuple[str, Floats, Floats]], apart: str = "") -> Agreement:
    """Hold numbers against the same made again.

    Args:
        pairs: Name, numbers kept and numbers made again, of one shape.
        apart: What differs beside them, if anything does.
    """
    greatest: dict[str, float] = {}
    rounded = True
    for name, kept, made in pairs:
        different = ~_same(kept, made)
        a, b = kept[different], made[different]
        if len(a):
            size = np.where(np.isfinite(a) & np.isfinite(b), np.abs(a - b), np.inf)
            greatest[name] = float(size.max())
            scale = np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
            rounded &= bool((size <= ROUNDING * scale).all())
    if not greatest and not apart:
        return Agreement(IDENTICAL)
    return Agreement(ROUNDED if rounded and not apart else OTHER, greatest, apart)


def rows_agreement(kept: pa.Table, made: pa.Table) -> Agreement:
    """Hold the rows of a trial against those of the same trial made again, metric by metric.

    Args:
        kept: Rows as results hold them (columns of `SCHEMA`).
        made: The same made again.
    """
    places, again = (
        list(zip(*(table.column(name).to_pylist() for name in PLACE), strict=True))
        for table in (kept, made)
    )
    if places != again:
        alone = (sorted({*places}.difference(again)), sorted({*again}.difference(places)))
        words = [
            f"{len(rows)} rows {where} alone ({' '.join(rows[0])}, ...)"
            for rows, where in zip(alone, ("kept", "made again"), strict=True)
            if rows
        ]
        return Agreement(OTHER, apart="; ".join(words) or "rows in another order")
    exact = [name for name in SCHEMA.names if name not in (*NUMBERS, "study")]
    apart = next(_differing(kept.select(exact), made.select(exact)), "")
    metric = np.array([place[-1] for place in places])
    columns = [[_floats(table.column(name)) for name in NUMBERS] for table in (kept, made)]
    return numbers_agreement(
        (
            (name, *(np.concatenate([c[metric == name] for c in own]) for own in columns))
            for name in dict.fromkeys(metric.tolist())
        ),
        apart,
    )


def curves_agreement(kept: pa.Table, made: pa.Table) -> Agreement:
    """Hold a learning curve (a row an evaluation) against the same made again."""
    steps = [table.column("timesteps").to_pylist() for table in (kept, made)]
    if steps[0] != steps[1] or kept.column_names != made.column_names:
        return Agreement(OTHER, apart="evaluations at other steps, or of other metrics")
    names = [name for name in kept.column_names if pa.types.is_floating(kept[name].type)]
    return numbers_agreement((n, _floats(kept.column(n)), _floats(made.column(n))) for n in names)


def arrays_agreement(
    kept: Mapping[str, NDArray[Any]], made: Mapping[str, NDArray[Any]]
) -> Agreement:
    """Hold named arrays, numbers or texts, against the same made again."""
    if kept.keys() != made.keys():
        return Agreement(OTHER, apart="other names")
    if any(kept[name].shape != made[name].shape for name in kept):
        return Agreement(OTHER, apart="other shapes")
    numbers = [name for name in kept if kept[name].dtype.kind in "fiub"]
    texts = [name for name in kept if name not in numbers]
    apart = next((name for name in texts if not np.array_equal(kept[name], made[name])), "")
    return numbers_agreement(
        (
            (n, kept[n].astype(np.float64).ravel(), made[n].astype(np.float64).ravel())
            for n in numbers
        ),
        apart,
    )


def tables_differ(kept: Path, made: Path) -> str:
    """The first difference between two parquet files of one table, in words; empty without one.

    Only a row group of each is in memory.

    Raises:
        OSError, pyarrow.ArrowException: One cannot be read.
    """
    with pq.ParquetFile(kept) as first, pq.ParquetFile(made) as second:
        if first.schema_arrow.names != second.schema_arrow.names:
            return "other columns"
        counts = first.metadata.num_rows, second.metadata.num_rows
        if counts[0] != counts[1]:
            return f"{counts[0]} rows, made again {counts[1]}"
        if _groups(first) != _groups(second):
            return next(_differing(first.read(), second.read()), "")
        for i in range(first.num_row_groups):
            found = next(_differing(first.read_row_group(i), second.read_row_group(i)), "")
            if found:
                return found
    return ""


def _groups(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


def _differing(kept: pa.Table, made: pa.Table) -> Iterator[str]:
    """What differs between two tables of the same rows and columns, a text a column."""
    for name in kept.column_names:
        a, b = kept.column(name).combine_chunks(), made.column(name).combine_chunks()
        if pa.types.is_floating(a.type) and pa.types.is_floating(b.type):
            equal = _same(_floats(a), _floats(b))
        else:
            equal = np.array([x == y for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True)])
        if not equal.all():
            i = int(np.flatnonzero(~equal)[0])
            row = {
                c: kept.column(c)[i].as_py() for c in ("trial", *PLACE) if c in kept.column_names
            }
            where = " ".join(str(part) for part in row.values() if part is not None)
            yield (
                f"{name} of {where or f'row {i}'} is {a[i].as_py()!r}, made again {b[i].as_py()!r} "
                f"({int((~equal).sum())} of {len(equal)} rows)"
            )


def _floats(column: pa.ChunkedArray | pa.Array) -> Floats:
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(numbers, dtype=np.float64)


def _same(a: Floats, b: Floats) -> Bools:
    """Per value, whether both are the same to the bit, or both no number."""
    same: Bools = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    return same


class Changed(NamedTuple):
    """Lines of a text that differ from those made again.

    Attributes:
        lines: How many; where lines were added or taken out, from there to the end.
        first: The first of them, as it is and as made again.
    """

    lines: int
    first: str


def lines_differ(kept: Sequence[str], made: Sequence[str]) -> Changed | None:
    """The lines in which two texts differ; None where they are the same."""
    if list(kept) == list(made):
        return None
    begin = next((i for i, (x, y) in enumerate(zip(kept, made, strict=False)) if x != y), None)
    begin = min(len(kept), len(made)) if begin is None else begin
    if len(kept) == len(made):
        count = sum(x != y for x, y in zip(kept, made, strict=True))
    else:
        count = max(len(kept), len(made)) - begin
    first = ("".join(lines[begin : begin + 1]) for lines in (kept, made))
    return Changed(count, _first_apart(*first))


def _first_apart(was: str, now: str) -> str:
    """The surroundings of the first letter in which two texts differ."""
    at = next((i for i, (x, y) in enumerate(zip(was, now, strict=False)) if x != y), 0)
    begin = max(0, at - LONGEST // 3)
    shown = (" ".join(text[begin : begin + LONGEST].split()) for text in (was, now))
    return " | made again: ".join(text or "nothing" for text in shown)
