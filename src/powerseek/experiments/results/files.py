"""Files of a results directory: written whole or not at all, and read with one clear message."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments import layout

_SUFFIX = ".powerseek"
TEMPORARY = f".*{_SUFFIX}"
"""Pattern of the names of files that are being written."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SECRET = re.compile(r"(://[^/@:\s]*):[^/@\s]*@")


def plain(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    return _SECRET.sub(r"\1:***@", text)


def is_elsewhere(given: str | Path) -> bool:
    """True if this is the address of something other than a folder."""
    found = _SCHEME.match(str(given))
    return found is not None and found[1].lower() != "file"


def folder_of(given: str | Path, field: str = "--out") -> Path:
    """The folder that a path or a ``file:///`` address names, made absolute.

    Args:
        given: What a user gave.
        field: The option it was given to.

    Raises:
        InvalidInput: An address of another kind.
    """
    found = _SCHEME.match(str(given))
    if found is None:
        return Path(given).expanduser().absolute()
    host, path = urlsplit(str(given)).netloc, urlsplit(str(given)).path
    if found[1].lower() != "file" or host not in ("", "localhost"):
        hint = (
            "Results are written to folders: mount the store as one and give that, or copy the "
            "folder there when the sweep has ended (and back, to go on with --resume)."
        )
        raise InvalidInput(field, str(given), "a folder, or file:///and its path", hint)
    return Path(unquote(path)).absolute()


class StoreError(PowerseekError):
    """The results directory cannot be written or read."""


class DiskFull(StoreError):
    """No space is left for results."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary neighbour of `path` and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
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


def keep(path: Path, write: Callable[[Path], object]) -> None:
    """`write_atomically`, in `guard`."""
    with guard(path):
        write_atomically(path, write)


@contextlib.contextmanager
def guard(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into one clear message.

    Raises:
        DiskFull: No space is left.
        StoreError: Not writable.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"{path}: {reason}. Finished trials are kept; free some space and run the same "
                "command with --resume."
            ) from None
        raise StoreError(f"{path}: cannot be written: {reason}") from None


def names(folder: Path, ending: str) -> set[str]:
    """Stems of the files in a folder that end so; hidden ones are half written."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {n.removesuffix(ending) for n in names if n.endswith(ending) and n[0] != "."}


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; empty where there is no such file.

    Raises:
        StoreError: It is there and cannot be read, or holds something else.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(held, dict):
            raise ValueError("it holds no mapping")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from None
    return held


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The table that a parquet file holds, which must have just these columns.

    Raises:
        StoreError: Cut short, damaged, or with other columns.
    """
    table: pa.Table = _opened(path, schema, lambda file: file.read(use_threads=False))
    return table.replace_schema_metadata(None)


def check_table(path: Path, schema: pa.Schema) -> int:
    """Number of rows; fails as `read_table` does, but reads the file's end alone."""
    return int(_opened(path, schema, lambda file: file.metadata.num_rows))


def read_column(path: Path, schema: pa.Schema, name: str) -> list[Any]:
    """The distinct values of one column, in the order of the file; fails as `read_table` does."""
    column = _opened(path, schema, lambda file: file.read([name]).column(name))
    values: list[Any] = column.unique().to_pylist()
    return values


def _opened(path: Path, schema: pa.Schema, read: Callable[[pq.ParquetFile], Any]) -> Any:
    try:
        with pq.ParquetFile(path) as file:
            other = _differences(schema, file.schema_arrow)
            found = None if other else read(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        hint = f"Move {path} away and run the sweep again with --resume."
        raise StoreError(f"{path}: not a whole parquet file: {reason} {hint}") from None
    if other:
        raise StoreError(
            f"{path}: another version of powerseek wrote it ({other}). Read it with that version "
            f"(see {layout.PROVENANCE}), or run the study anew in another --out."
        )
    return found


def _differences(schema: pa.Schema, held: pa.Schema) -> str:
    """In which columns a table differs from what is expected; empty where in none."""
    names = [("without", [name for name in schema.names if name not in held.names])]
    names += [("with", [name for name in held.names if name not in schema.names])]
    both = [name for name in schema.names if held.names.count(name) == 1]
    other = [name for name in both if held.field(name).type != schema.field(name).type]
    names += [("with another kind of", other)]
    names += [("with two columns", [n for n in schema.names if held.names.count(n) > 1])]
    return "; ".join(f"{word} {', '.join(found)}" for word, found in names if found)
