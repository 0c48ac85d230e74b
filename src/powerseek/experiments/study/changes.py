"""Changes of a study for one sweep: ``--set worlds.0.openness=[0,2]``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from powerseek.errors import InvalidInput
from powerseek.experiments.study.schema import Study, make_study, read_study
from powerseek.experiments.study.yaml_text import read_yaml, write_yaml

OPTION = "--set"
SYNTAX = "PATH=VALUE: keys and places in lists from 0, joined by dots, and a value as in YAML"
EXAMPLE = "Write for example --set seeds=32, or --set 'worlds.0.openness=[0, 2]'."
_PART = r'(?:[^."]+|"[^"]+")'
_PATH = re.compile(rf"{_PART}(?:\.{_PART})*")

KeyPath: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A value that replaces what a study's file says, or adds to it.

    Attributes:
        path: Keys and places in lists, from the top of the study as it is written.
        value: The value, plain as YAML gives it.
        before: What was written there; None where nothing was.
        new: True where nothing was written there.
    """

    path: KeyPath
    value: Any
    before: Any = None
    new: bool = False

    @property
    def key(self) -> str:
        """The path as ``--set`` takes it: ``worlds.0.openness``."""
        return _joined(self.path)

    def __str__(self) -> str:
        """The change in words: ``seeds = 32 (was 3)``."""
        was = "was not written" if self.new else f"was {_flow(self.before)}"
        return f"{self.key} = {_flow(self.value)} ({was})"


def load_changed_study(study: str | Path, given: Sequence[str]) -> tuple[Study, tuple[Change, ...]]:
    """A study from its file or shipped name, with changes.

    Args:
        study: See `powerseek.experiments.study.schema.load_study`.
        given: The changes, each ``PATH=VALUE``, made in this order.

    Raises:
        InvalidInput: As of `load_study` and `change_study`; of a changed key it names ``--set``.
    """
    data, changes = change_study(read_study(study), given)
    with naming_changes(changes):
        return make_study(data), changes


def change_study(
    data: Mapping[str, Any], given: Iterable[str]
) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """The mapping of a study with changes; `data` stays as it is.

    A key that is not written yet is added; so are the mappings on the way to it. Places in lists
    must exist.

    Args:
        data: What the study's file holds.
        given: The changes, each ``PATH=VALUE``.

    Raises:
        InvalidInput: No such text, no such place in the study, or a change that undoes another;
            it says what is there, and what to write instead.
    """
    changed, changes = _copied(data), list[Change]()
    for text in given:
        path, value = _read(text)
        for other in changes:
            if other.path[: len(path)] == path:
                allowed = f"a part of the study that no other --set changes: {other.key} is set"
                raise InvalidInput(OPTION, text, allowed, "Leave one of them out.")
        changes.append(_put(changed, path, value))
    return changed, tuple(changes)


@contextmanager
def naming_changes(changes: Sequence[Change]) -> Iterator[None]:
    """Errors about what ``--set`` has put into a study name that option."""
    try:
        yield
    except InvalidInput as error:
        key = next((c.key for c in changes if _holds(c.path, error.field)), None)
        if key is None:
            raise
        named = f"{OPTION} {key}"
        raise InvalidInput(named, error.value, error.allowed, error.hint) from None


def _holds(path: KeyPath, field: str) -> bool:
    """True if a field, written ``worlds[0].openness``, lies at or below a path."""
    parts = re.findall(r"[^.\[\]]+", field)
    return tuple(parts[: len(path)]) == path


def _read(text: str) -> tuple[KeyPath, Any]:
    where, equals, value = text.partition("=")
    if not equals or not _PATH.fullmatch(where):
        raise InvalidInput(OPTION, text, SYNTAX, EXAMPLE)
    path = tuple(part.strip('"') for part in re.findall(_PART, where))
    return path, read_yaml(value, f"{OPTION} {where}", value, "a value as a study file writes it")


def _copied(value: Any) -> Any:
    """A copy in which nothing is shared, as what YAML's aliases stand for is."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _put(study: dict[str, Any], path: KeyPath, value: Any) -> Change:
    """Put a value into a study, and tell what it has replaced."""
    here: Any = study
    for depth, part in enumerate(path[:-1]):
        if isinstance(here, dict) and here.get(part) is None and not path[depth + 1].isdecimal():
            here[part] = {}
        here = here[_place(here, path, depth, value)]
    last = path[-1]
    if isinstance(here, dict):
        change = Change(path, value, here.get(last), new=last not in here)
        here[last] = _copied(value)
        return change
    place = _place(here, path, len(path) - 1, value)
    change = Change(path, value, here[place])
    here[place] = _copied(value)
    return change


def _place(here: Any, path: KeyPath, depth: int, value: Any) -> Any:
    """The key or the place in a list that a part of a path names, refused where it is none."""
    part = path[depth]
    if isinstance(here, dict) and part in here:
        return part
    if isinstance(here, list) and part in map(str, range(len(here))):
        return int(part)
    above, instead = path[:depth], path[depth + 1 :]
    name = _joined(above) or "the study"
    if isinstance(here, dict) and here:
        allowed = f"a key of {name}: {', '.join(map(_quoted, here))}"
        near = get_close_matches(part, list(here), n=1)
        hint = _line((*above, *near, *instead), value) if near else EXAMPLE
    elif isinstance(here, list) and here:
        entries = ", ".join(f"{i} is {_short(item)}" for i, item in enumerate(here[:SHOWN]))
        more = f", up to {len(here) - 1}" if len(here) > SHOWN else ""
        allowed = f"a place in {name}: {entries}{more}"
        hint = _line((*above, "0", *instead), value)
    else:
        allowed = f"no part of {name}, which is {_flow(here)}"
        hint = _line(above, _nested(path[depth:], value))
    raise InvalidInput(f"{OPTION} {_joined(path)}", part, allowed, hint)


SHOWN = 8
"""Entries of a list in a message."""


def _line(path: KeyPath, value: Any) -> str:
    return f"Write {OPTION} {shlex.quote(f'{_joined(path)}={_flow(value)}')}."


def _nested(path: KeyPath, value: Any) -> Any:
    """What a key must hold so that the value stands at a path within it."""
    for part in reversed(path):
        value = [value] if part.isdecimal() else {part: value}
    return value


def _joined(path: KeyPath) -> str:
    return ".".join(map(_quoted, path))


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key else key


def _flow(value: Any) -> str:
    """A value on one line, as YAML."""
    text = write_yaml(value, flow=True)
    return text.removesuffix("...\n").strip()


def _short(value: Any) -> str:
    """An entry of a list by its id, where it has one."""
    if isinstance(value, Mapping) and "id" in value:
        value = value["id"]
    text = _flow(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


LONGEST = 30
"""Letters of an entry in a message."""
