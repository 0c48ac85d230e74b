"""Exact numbers that studies of one user share: what one has computed, the next one reads.

They lie in the cache folder, by the code, the libraries and the processor that they were computed
with; within, as they lie beside results (`powerseek.experiments.results.oracles`), by setting and
the fingerprint of its rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import powerseek
from powerseek.cache import cache_folder, is_writable
from powerseek.envs.rewards.spec import read_spec, reward_chain
from powerseek.experiments.results.files import StoreError
from powerseek.experiments.results.oracles import keep_exact, read_exact
from powerseek.experiments.results.provenance import processor, versions
from powerseek.registry import rewards

SWITCH = "POWERSEEK_SHARE_EXACT"
"""Environment variable: 0 computes everything anew, and shares nothing."""
LIMIT = 500_000_000
"""Bytes that are kept at most; what was computed longest ago goes first."""


def read_shared(setting: str, rules: str) -> dict[str, Any] | None:
    """The exact numbers of a setting under rules with this fingerprint, if any study has them."""
    folder = _folder(setting)
    return None if folder is None else read_exact(folder, setting, rules)


def share(setting: str, rules: str, arrays: Mapping[str, Any]) -> None:
    """Keep exact numbers for other studies; where that cannot be, nothing happens."""
    folder = _folder(setting)
    if folder is None:
        return
    with contextlib.suppress(StoreError, OSError):
        keep_exact(folder, setting, rules, arrays)
        _prune(folder.parent)


@contextlib.contextmanager
def nothing_shared() -> Iterator[None]:
    """Compute everything anew, in this process and those begun from it."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before


def _folder(setting: str) -> Path | None:
    """Where a setting's numbers are shared; None where they are not.

    A plugin's reward is no part of the setting but its name: its numbers stay beside its results.
    """
    spec = json.loads(setting).get("reward")
    own = {read_spec(one)[0] for one in reward_chain(spec)} if spec is not None else set()
    if os.environ.get(SWITCH) == "0" or not own <= set(rewards.builtin):
        return None
    return _shared_folder()


@lru_cache
def _shared_folder() -> Path | None:
    folder = os.path.join(cache_folder(), "exact", _made_by())
    return Path(folder) if is_writable(folder) else None


def _made_by() -> str:
    """Digest of all but setting and rules that exact numbers depend on, to the last bit."""
    digest = hashlib.sha256(repr((sorted(versions().items()), processor())).encode())
    (package,) = powerseek.__path__
    for room in ("envs", "exact"):
        for path in sorted(Path(package, room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _prune(folder: Path) -> None:
    """Remove the oldest files below a folder until `LIMIT` is kept."""
    found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in _files(folder))
    excess = sum(size for _, size, _ in found) - LIMIT
    for _, size, path in found:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.npz") if path.is_file()]
