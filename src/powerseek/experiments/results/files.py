"""Files of a results directory: written whole or not at all, and read with one clear message."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments import checksums, layout
from powerseek.experiments.study.factors import LATER
from powerseek.files import write_atomically

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
LONGEST_NAME = 255
"""Bytes of a name, by most file systems."""
_SECRET = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")


def without_passwords(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    return _SECRET.sub(r"\1:***@", text)


def is_elsewhere(given: str | Path) -> bool:
    """True if this is the address of something other than a folder."""
    scheme = _SCHEME.match(str(given))
    return scheme is not None and scheme[1].lower() != "file"


def folder_of(given: str | Path, field: str = "--out") -> Path:
    """The folder that a path or a ``file:///`` address names, made absolute.

    Args:
        given: What a user gave.
        field: The option it was given to.

    Raises:
        InvalidInput: An address of another kind, or a path that no folder can have.
    """
    text, words = str(given), "a folder, or file:///and its path"
    found = _SCHEME.match(text)
    try:
        if found is None:
            path = Path(given).expanduser()
        else:
            address = urlsplit(text)
            if found[1].lower() != "file" or address.netloc not in ("", "localhost"):
                hint = (
                    "Results are written to folders: mount the store as one and give that, or copy "
                    "the folder there when the sweep has ended (and back, to go on with --resume)."
                )
                raise InvalidInput(field, text, words, hint)
            path = Path(unquote(address.path))
        if any("\0" in part or len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            raise ValueError(f"names have at most {LONGEST_NAME} bytes, none of them zero")
    except InvalidInput:
        raise
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(field, text, words, f"No folder can be there: {error}") from None
    return path.absolute()


class StoreError(PowerseekError):
    """The results directory cannot be written or read."""


class DiskFull(StoreError):
    """No space is left for results."""


def keep_results_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` write a sealed file, all of it or nothing; fails as `guarded_results_file`."""

    def sealed(temporary: Path) -> None:
        write(temporary)
        checksums.seal_file(temporary)

    with guarded_results_file(path):
        write_atomically(path, sealed)


def keep_bytes(path: Path, data: bytes) -> None:
    """Keep what a file is to hold; see `keep_results_file`."""
    keep_results_file(path, lambda temporary: temporary.write_bytes(data))


@contextlib.contextmanager
def guarded_results_file(path: Path, used: str = "written") -> Iterator[None]:
    """Turn an operating system's refusal into one clear message.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"{path}: {reason(error)}. What is finished is kept: free some space and give the "
                "same command again, a sweep with --resume."
            ) from None
        raise StoreError(f"{path}: cannot be {used}: {reason(error)}") from None


def names(folder: Path, ending: str = "") -> set[str]:
    """Stems of the files in a folder that end so; hidden ones are half written."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {n.removesuffix(ending) for n in names if n.endswith(ending) and n[0] != "."}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Keep a mapping as JSON, with its checksum."""
    text = json.dumps({**content, "checksum": checksums.BLANK}, indent=2) + "\n"
    keep_results_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


SMALL = {"compression": "zstd", "compression_level": 19}
"""How parquet is written that is to be kept beside code: it takes long, and is read as fast."""


def write_table(path: Path, table: pa.Table, **how: Any) -> None:
    """Keep a table as parquet, with its checksum; `how` is `table_writer`'s."""

    def write(temporary: Path) -> None:
        with table_writer(temporary, table.schema, **how) as writer:
            writer.write_table(table)

    keep_results_file(path, write)


@contextlib.contextmanager
def table_writer(
    path: Path, schema: pa.Schema, form: Mapping[str, Any] = {}, **about: str
) -> Iterator[pq.ParquetWriter]:
    """A writer of parquet that leaves room for a checksum, and what the file is said to be.

    Args:
        path: The file.
        schema: Its columns.
        form: How pyarrow encodes it, where that is not as usual: `SMALL`.
        about: What it is said to be, by key.
    """
    with pq.ParquetWriter(path, schema, **form) as writer:
        yield writer
        writer.add_key_value_metadata({**about, "checksum": checksums.BLANK})


def read_record(
    path: Path, model: type[checksums.Record], required: bool = False
) -> dict[str, Any]:
    """The mapping that a JSON file holds; empty where there is no such file.

    Args:
        path: The file.
        model: Its shape.
        required: Whether it was written with a checksum.

    Raises:
        StoreError: It is there and cannot be read, is of another shape or not as it was written.
    """
    try:
        return checksums.sealed_record(path, model, required)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {reason(error)}") from None


def reason(error: Exception) -> str:
    """What is wrong with a file, in one line and without its name."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def read_table(path: Path, schema: pa.Schema, required: bool = False) -> pa.Table:
    """The table that a parquet file holds, which must have just these columns.

    Args:
        path: The file.
        schema: Its columns.
        required: Whether it was written with a checksum.

    Raises:
        StoreError: Cut short, damaged, edited, or with other columns.
    """
    table: pa.Table = _opened(path, schema, lambda file: file.read(use_threads=False), required)
    for name in schema.names:
        if name not in table.column_names:  # of LATER
            column = schema.field(name)
            table = table.append_column(column, pa.nulls(len(table), column.type))
    return table.replace_schema_metadata(None)


def check_table(path: Path, schema: pa.Schema, required: bool = False) -> int:
    """Number of rows; fails as `read_table` does, but decodes the file's end alone."""
    return int(_opened(path, schema, lambda file: file.metadata.num_rows, required))


def read_column(path: Path, schema: pa.Schema, name: str) -> list[Any]:
    """The distinct values of one column, in the order of the file; fails as `read_table` does."""
    column = _opened(path, schema, lambda file: file.read([name]).column(name))
    values: list[Any] = column.unique().to_pylist()
    return values


def _opened(
    path: Path, schema: pa.Schema, read: Callable[[pq.ParquetFile], Any], required: bool = False
) -> Any:
    try:
        checksums.check(path, required)
        with pq.ParquetFile(path) as file:
            other = _differences(schema, file.schema_arrow)
            if not other:
                return read(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: cannot be read: {reason(error)}. Move {path} away, or put back a sound copy, "
            "and run the sweep again with --resume."
        ) from None
    raise StoreError(
        f"{path}: another version of powerseek wrote it ({other}). Read it with that version "
        f"(see {layout.PROVENANCE}), or run the study anew in another --out."
    )


def _differences(schema: pa.Schema, held: pa.Schema) -> str:
    """In which columns a table differs from what is expected; empty where in none."""
    known = (*held.names, *LATER)
    names = [("without", [name for name in schema.names if name not in known])]
    names += [("with", [name for name in held.names if name not in schema.names])]
    both = [name for name in schema.names if held.names.count(name) == 1]
    other = [name for name in both if held.field(name).type != schema.field(name).type]
    names += [("with another kind of", other)]
    names += [("with two columns", [n for n in schema.names if held.names.count(n) > 1])]
    return "; ".join(f"{word} {', '.join(which)}" for word, which in names if which)
