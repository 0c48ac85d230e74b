"""A folder elsewhere: any filesystem that pyarrow opens by an address, with a copy of it here.

What lies there counts. The copy belongs to one process, begins empty and goes with it: files are
written here, whole, and sent; files that others sent are fetched.

A sent file is there whole or not at all. Object stores show an object once all of it has arrived;
elsewhere it is written beside its place and moved. A file of no bytes is one that was begun (some
stores create it so) and counts as none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType

from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments.results.files import StoreError, guarded_results_file, without_passwords

THREADS = 16
PAUSES: tuple[float, ...] = (1.0, 4.0)
"""Seconds before what failed is tried again, once anything has succeeded."""
CHUNK, SAID = 1 << 20, 400
WHOLE_OR_NOT = {"s3", "gcs", "abfs"}
"""Filesystems in which nobody sees a file before it is complete."""
_KEPT = "(What is there stays: --resume goes on from it.)"
_PREFIX, _OLD = "powerseek-out-", 60.0

Seen: TypeAlias = tuple[int, int | None]
"""Bytes, and when it was written in ns since 1970 where the filesystem tells."""


class Mirror:
    """One folder elsewhere and its copy here. Names are paths below it, parts joined by ``/``.

    Args:
        address: Such as ``s3://bucket/path``; credentials and the like as pyarrow finds them.
        field: The option it was given to.
        patient: Whether what fails is tried again even before anything has succeeded.

    Attributes:
        uri: The address as it may be shown.
        base: The same without options: what the names of files are added to.
        folder: The copy.

    Raises:
        InvalidInput: Not an address that pyarrow or an installed fsspec package opens.
        StoreError: It cannot be reached.
    """

    def __init__(self, address: str, field: str = "--out", patient: bool = False) -> None:
        self.base, mark, options = without_passwords(address).partition("?")
        self.base = self.base.rstrip("/")
        self.uri = self.base + mark + options
        self._met = patient
        self._filesystem, root = self._call("", "reached", lambda: _connect(address, field))
        self._met = patient  # an address is understood without any request
        self._root = root.rstrip("/")
        self._direct = self._filesystem.type_name in WHOLE_OR_NOT
        self._here: dict[str, tuple[int, int]] = {}
        self._there: dict[str, Seen | None] = {}
        self._folders: set[str] = set()
        self._pool = ThreadPoolExecutor(THREADS)
        self.folder = _working_folder(self)

    def name(self, path: Path) -> str:
        """Name of a file of the copy."""
        return path.relative_to(self.folder).as_posix()

    def listing(self, under: str = "", begun: bool = False) -> dict[str, Seen]:
        """The files there.

        Args:
            under: Only those below this name.
            begun: Instead those that were begun by someone who was stopped.
        """
        selector = FileSelector(self._path(under), recursive=True, allow_not_found=True)

        def look() -> list[Any]:
            self._forget_cache()
            found: list[Any] = self._filesystem.get_file_info(selector)
            return found

        start = f"{self._root.strip('/')}/" if self._root.strip("/") else ""
        found = {
            entry.path.strip("/").removeprefix(start): (entry.size or 0, entry.mtime_ns)
            for entry in self._call("", "listed", look)
            if entry.type == FileType.File
        }
        return {
            name: seen
            for name, seen in found.items()
            if _hidden(name) is begun and (seen[0] or begun)
        }

    def refresh(self, wanted: Callable[[str], bool]) -> dict[str, Seen]:
        """Make the wanted files here what they are there; gives what is there."""
        listed = self.listing()
        known = [name for name, seen in self._there.items() if seen is not None]
        self._each(self._gone, [name for name in known if name not in listed])
        names = [name for name in listed if wanted(name) and self._differs(name, listed[name])]
        self.fetch(names, listed)
        return listed

    def fetch(self, names: Iterable[str], listed: Mapping[str, Seen] | None = None) -> None:
        """Bring files here; what is not there, or not whole, is not here either.

        Args:
            names: Which.
            listed: What `listing` said of them.
        """
        said = listed or {}
        self._forget_cache()
        self._each(lambda name: self._fetch(name, said.get(name)), names)

    def changed(self) -> list[str]:
        """Files here that have changed since they were sent or fetched, the oldest first."""
        found = []
        for path in self.folder.rglob("*"):
            name = self.name(path)
            with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                if path.is_file() and not _hidden(name):
                    state = _state(path)
                    if self._here.get(name) != state:
                        found.append((state, name))
        return [name for _, name in sorted(found)]

    def send(self, names: Iterable[str]) -> None:
        """Put files there, each whole or not at all, in any order; one of no bytes is removed."""
        self._each(self._send, names)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files there; those that are not there are passed over."""
        self._each(self._remove, names)

    def lost(self) -> list[str]:
        """Files that were sent or fetched and are no longer here."""
        return [name for name in list(self._there) if not (self.folder / name).is_file()]

    def clear(self, keep: Callable[[str], bool]) -> None:
        """Remove files here, none there."""
        for path in list(self.folder.rglob("*")):
            if path.is_file() and not keep(self.name(path)):
                self._gone(self.name(path))

    def _differs(self, name: str, seen: Seen) -> bool:
        if not (self.folder / name).is_file():
            return True
        known = self._there.get(name, (-1, None))
        return known is not None and known != seen  # None: sent from here

    def _fetch(self, name: str, seen: Seen | None) -> None:
        target = self.folder / name
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        with guarded_results_file(target):
            target.parent.mkdir(parents=True, exist_ok=True)

        def copy() -> Seen | None:
            found = seen or self._look(name)
            if found is None:
                return None
            try:
                source = self._filesystem.open_input_stream(self._path(name), compression=None)
            except FileNotFoundError:  # it went meanwhile
                return None
            with source, temporary.open("wb") as sink:
                while chunk := source.read(CHUNK):
                    with guarded_results_file(temporary):
                        sink.write(chunk)
            if (size := temporary.stat().st_size) != found[0]:
                raise OSError(f"{size} of {found[0]} bytes came")
            return found

        try:
            found = self._call(name, "read", copy)
            if found is None:
                self._gone(name)
                return
            if found[1] is not None:
                os.utime(temporary, ns=(found[1], found[1]))
            self._here[name], self._there[name] = _state(temporary), found
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def _look(self, name: str) -> Seen | None:
        found = self._filesystem.get_file_info(self._path(name))
        return (found.size, found.mtime_ns) if found.type == FileType.File and found.size else None

    def _gone(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self._here.pop(name, None)
        self._there.pop(name, None)

    def _send(self, name: str) -> None:
        path = self.folder / name
        state = _state(path)
        if not state[1]:
            self._remove(name)
        else:
            with pa.memory_map(str(path)) as source:
                data = source.read_buffer()
            self._call(name, "written", lambda: self._put(name, data))
        self._here[name], self._there[name] = state, None

    def _put(self, name: str, data: pa.Buffer) -> None:
        target = self._path(name)
        if self._direct:
            self._stream(target, data)
            return
        folder, _, last = target.rpartition("/")
        beside = "/".join([*filter(None, [folder]), f".{last}.{uuid.uuid4().hex}"])
        try:
            if folder and folder not in self._folders:
                self._filesystem.create_dir(folder, recursive=True)
                self._folders.add(folder)
            self._stream(beside, data)
            self._filesystem.move(beside, target)
        except Exception:
            self._folders.discard(folder)
            with contextlib.suppress(Exception):
                self._filesystem.delete_file(beside)
            raise

    def _stream(self, target: str, data: pa.Buffer) -> None:
        # One write: a stream that is left between two is closed, hence kept, half full.
        stream = self._filesystem.open_output_stream(target, compression=None)
        stream.write(data)
        stream.close()

    def _remove(self, name: str) -> None:
        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._filesystem.delete_file(self._path(name))

        self._call(name, "removed", delete)
        self._here.pop(name, None)
        self._there.pop(name, None)

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._root, name) if part)

    def _each(self, action: Callable[[str], None], names: Iterable[str]) -> None:
        names = list(names)
        if len(names) == 1:
            action(names[0])
            return
        for _ in self._pool.map(action, names):
            pass

    def _call(self, name: str, what: str, action: Callable[[], Any]) -> Any:
        """Call `action`; one that fails is tried again where the filesystem has worked."""
        for pause in (*(PAUSES if self._met else ()), None):
            try:
                found = action()
            except PowerseekError:
                raise
            except Exception as error:  # every filesystem's package has errors of its own
                if pause is None or isinstance(error, PermissionError | NotImplementedError):
                    where = f"{self.base}/{name}" if name else self.uri
                    hint = f" {_KEPT}" if self._met else ""
                    raise StoreError(f"{where}: cannot be {what}: {_said(error)}{hint}") from None
                time.sleep(pause)
            else:
                self._met = True
                return found

    def _forget_cache(self) -> None:
        """Packages of fsspec remember listings, which others may have changed."""
        package = getattr(getattr(self._filesystem, "handler", None), "fs", None)
        if package is not None:
            package.invalidate_cache()


def _connect(address: str, field: str) -> tuple[FileSystem, str]:
    reasons = []
    for prefix in ("", "fsspec+"):
        try:
            found: tuple[FileSystem, str] = FileSystem.from_uri(prefix + address)
            return found
        except (ValueError, ImportError) as error:
            reasons.append(_said(error))
            if "Unrecognized filesystem" not in reasons[-1]:
                break
    allowed = (
        "a folder, or the address of a filesystem that pyarrow or an installed fsspec package "
        "opens, such as s3://bucket/path"
    )
    raise InvalidInput(field, without_passwords(address), allowed, reasons[-1])


def _working_folder(owner: object) -> Path:
    """A new folder that goes with its owner; what killed processes left of theirs goes now."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock.open("rb") as left:
            # A folder so new may be one whose owner is about to lock it.
            if time.time() - os.fstat(left.fileno()).st_mtime > _OLD:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
    outer = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = (outer / "lock").open("wb")
    fcntl.flock(held, fcntl.LOCK_EX)
    folder = outer / "out"
    folder.mkdir()
    weakref.finalize(owner, _end, outer, held, os.getpid())
    return folder


def _end(outer: Path, held: Any, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(outer, ignore_errors=True)
    held.close()


def _hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _said(error: Exception) -> str:
    text = without_passwords(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= SAID else f"{text[:SAID]} ..."
