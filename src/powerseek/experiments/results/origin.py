"""Origins of trials: the code and machine, besides its configuration, that a trial's numbers need.

Each trial's file holds its own. What must not stand together is refused when a sweep goes on
(`check_origins`); what may, but should be known, is told.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import CodeType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from powerseek.agents.phases import phase_rewards
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.engine.compile import fingerprint
from powerseek.envs.rewards.spec import read_spec, reward_chain
from powerseek.errors import InvalidInput
from powerseek.experiments import layout
from powerseek.experiments.results.oracles import WORLD, exact_setting
from powerseek.experiments.results.provenance import processor, revision, versions
from powerseek.experiments.study.grid import Cell, Trial, canonical_study_json, content_hash
from powerseek.registry import Registry, agents, list_metrics, make_world, metrics, rewards, worlds

_KEY, _MIXED = b"powerseek.origin", b"powerseek.mixed"
RULES, PYTHON = "rules", "python"
UNKNOWN = {"powerseek": "of an earlier version"}
NOT_SAID = (
    "of an earlier powerseek, which did not record the rules of worlds (if one was edited since, "
    "choose another --out)"
)
SHOWN = 3
"""Most trials that a line names."""


def origin_of(cell: Cell) -> dict[str, str]:
    """The origin that a trial of a cell has if it is run now, in words, by what each word is about.

    ``rules`` is the fingerprint of its world, ``environment`` the name and package of a foreign
    one, ``plugin NAME`` a digest of the source of each package that offers its world, reward
    function or agent, or a metric.
    """
    return {**_environment(), **_plugins(cell), **_foreign(cell), RULES: rules_of(cell)}


def rules_of(cell: Cell) -> str:
    """Fingerprint of all that the rules of a cell's world reach, tables and constants included."""
    world = make_world(cell.world, **cell.params)
    asked = (rewards.get(read_spec(spec)[0]) for spec in reward_chain(cell.reward))
    if any(getattr(reward, "needs_noop", False) for reward in asked):
        return content_hash([fingerprint(world), world.noop])
    return fingerprint(world)


@lru_cache
def _environment() -> dict[str, str]:
    known = {"revision": revision(), "processor": processor()}
    libraries = {name: number for name, number in versions().items() if name != "ray"}
    told = {PYTHON: platform.python_version(), **libraries, **known}
    return {name: text for name, text in told.items() if text}


def _foreign(cell: Cell) -> dict[str, str]:
    """The environment of a foreign world: its id, what it was made with, and its package."""
    world = make_world(cell.world, **cell.params)
    if not isinstance(world, ForeignWorld):
        return {}
    environment = world.environment(world.params)
    package = type(environment.unwrapped).__module__.partition(".")[0]
    spec = environment.spec
    environment.close()
    name = "" if spec is None else f"{spec.id} {json.dumps(spec.kwargs, default=_type_name)} of "
    return {"environment": f"{name}{package} {_version_of(package)}"}


def _type_name(value: object) -> str:
    return type(value).__qualname__


@lru_cache
def _version_of(package: str) -> str:
    """Version of an installed package, "" of one that has none."""
    for distribution in packages_distributions().get(package, ()):
        return version(distribution)
    return ""


def _plugins(cell: Cell) -> dict[str, str]:
    """Digests of the plugins' sources."""
    asked: list[tuple[Registry[Any], str]] = [(worlds, cell.world), (agents, cell.agent)]
    paid = (cell.reward, *phase_rewards(cell.settings))
    asked += [(rewards, read_spec(spec)[0]) for one in paid for spec in reward_chain(one)]
    asked += [(metrics, id) for id in list_metrics()]
    entries = [registry.get(id) for registry, id in asked if id not in registry.builtin]
    return dict(_source(entry) for entry in entries)


def _source(entry: Any) -> tuple[str, str]:
    """The package of something registered, and a digest of its source.

    What a script or notebook defines reaches workers without its source: its code counts.
    """
    module = getattr(entry, "__module__", "")
    if module in ("", "__main__"):
        name = getattr(entry, "__qualname__", type(entry).__name__)
        parts = vars(entry) if isinstance(entry, type) else {name: entry}
        codes = {key: code for key, part in parts.items() if (code := _code_of(part)) is not None}
        told = repr([(key, list(_instructions(codes[key]))) for key in sorted(codes)])
        return f"script's {name}", hashlib.sha256(told.encode()).hexdigest()[:16]
    package = module.partition(".")[0]
    return f"plugin {package}", _package_digest(package, module)


def _code_of(part: Any) -> CodeType | None:
    return getattr(getattr(part, "__func__", part), "__code__", None)


def _instructions(code: CodeType) -> Iterator[object]:
    """All that code does, and nothing of where it stands."""
    yield code.co_code, code.co_names
    for constant in code.co_consts:
        yield from _instructions(constant) if isinstance(constant, CodeType) else [repr(constant)]


@lru_cache
def _package_digest(package: str, module: str) -> str:
    """Digest of the Python source of a package, or of one module where it is in none."""
    folders = [Path(path) for path in getattr(sys.modules[package], "__path__", ())]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    alone = getattr(sys.modules[module], "__file__", None)
    digest = hashlib.sha256()
    for path in files or [Path(alone or "")]:
        if path.is_file():
            digest.update(_meaning(path.read_bytes()))
    return digest.hexdigest()[:16]


def _meaning(source: bytes) -> bytes:
    """Source without comments and line breaks."""
    try:
        return ast.dump(ast.parse(source)).encode()
    except (SyntaxError, ValueError):
        return source


def with_origin(table: pa.Table, origin: Mapping[str, str]) -> pa.Table:
    """A table of a trial's rows that says its origin too."""
    return table.replace_schema_metadata({_KEY: canonical_study_json(origin)})


def read_origin(path: Path) -> dict[str, str]:
    """The origin of the trial whose rows a file holds; `UNKNOWN` where it does not say."""
    try:
        held = json.loads((pq.read_metadata(path).metadata or {})[_KEY])
    except (KeyError, OSError, ValueError, pa.ArrowException):
        held = UNKNOWN
    return {str(name): str(text) for name, text in held.items()}


def check_origins(kept: Sequence[tuple[Trial, Path]], out: Path) -> tuple[str, ...]:
    """Compare the origins of trials that are kept with those that new ones beside them would have.

    Args:
        kept: Trials, and the files of their rows.
        out: The results directory, for messages.

    Returns:
        What has changed since, a line for all trials that differ in the same.

    Raises:
        InvalidInput: The rules of a world have changed; names the world and what to do.
    """
    now: dict[int, dict[str, str]] = {}
    changed: dict[str, list[str]] = defaultdict(list)
    edited: dict[str, list[str]] = defaultdict(list)
    for trial, path in kept:
        held = read_origin(path)
        if held == UNKNOWN:
            changed[NOT_SAID].append(trial.key)
            continue
        if id(trial.cell) not in now:
            now[id(trial.cell)] = origin_of(trial.cell)
        present = now[id(trial.cell)]
        if _is_edited(held, present):
            edited[trial.cell.world].append(trial.key)
        told = [
            f"{name} {held.get(name, 'absent')} (now {present.get(name, 'absent')})"
            for name in {**held, **present}
            if held.get(name) != present.get(name)
        ]
        if told:
            changed["made with " + ", ".join(told)].append(trial.key)
    for world, keys in edited.items():
        raise InvalidInput(
            "--out",
            str(out),
            f"results of one set of rules: those of world {world!r} (code, tables or constants) "
            f"have changed since {named_trials(keys, len(kept))} here",
            "Nothing was touched. Choose another --out, or put the rules back; raise the world's "
            "version so that results tell the two apart.",
        )
    return tuple(
        f"{named_trials(keys, len(kept))} here are {told}: "
        "they are kept, and stand beside new ones."
        for told, keys in changed.items()
    )


def _is_edited(held: Mapping[str, str], present: Mapping[str, str]) -> bool:
    """True if rules differ; another minor version of Python has other fingerprints of the same."""
    minor = {origin.get(PYTHON, "").rpartition(".")[0] for origin in (held, present)}
    return RULES in held and held[RULES] != present[RULES] and len(minor) == 1


class Origins:
    """The origins of a study's trials, gathered one by one."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, trial: Trial, path: Path) -> None:
        """Take in the file of a trial's rows."""
        setting = exact_setting(trial.cell, WORLD)
        self.groups[setting, canonical_study_json(read_origin(path))].append(trial.key)

    @property
    def mixed(self) -> tuple[str, ...]:
        """What is not the same in all trials (rules: of one configuration), a line each."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for (setting, text), keys in self.groups.items():
            for name, value in json.loads(text).items():
                counts[name, setting * (name == RULES)][value] += len(keys)
        total = sum(map(len, self.groups.values()))
        told: dict[str, list[str]] = defaultdict(list)
        for (setting, text), keys in self.groups.items():
            words = []
            for name, value in json.loads(text).items():
                (usual, _), *_ = counts[name, setting * (name == RULES)].most_common(1)
                if value != usual:
                    words.append(f"{name} {value} (the others {usual})")
            if words:
                told[", ".join(words)] += keys
        return tuple(
            f"{named_trials(keys, total)} were made with {words}." for words, keys in told.items()
        )


def write_mixed(writer: pq.ParquetWriter, mixed: Sequence[str]) -> None:
    """Have merged results say what is not the same in all their trials."""
    writer.add_key_value_metadata({_MIXED: json.dumps(mixed)})


def read_mixed(out: Path) -> tuple[str, ...]:
    """What merged results say of the origins of their trials; empty where that is nothing."""
    try:
        return tuple(json.loads((pq.read_metadata(out / layout.RESULTS).metadata or {})[_MIXED]))
    except (KeyError, OSError, ValueError, pa.ArrowException):
        return ()


def named_trials(keys: Sequence[str], total: int) -> str:
    """So many of so many trials, the first `SHOWN` by their keys."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)} of {total} trials ({', '.join(keys[:SHOWN])}{more})"
