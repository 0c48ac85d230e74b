"""Fixtures that more than one module of tests needs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from installed import ROOT, built, copied

from powerseek.registry import worlds
from powerseek.scripts import FILES

# Every test computes what it looks at, whatever other studies of this user have left.
os.environ["POWERSEEK_SHARE_EXACT"] = "0"

# No test measures time, and a busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


LONGEST = (
    *("tests/test_plugins.py", "envs/checks/test_run.py", "sweep/test_sweep.py"),
    *("engine/test_vec.py", "tests/test_golden.py", "worlds/test_minichess_rules.py"),
    *("chaos/test_kills.py", "sweep/test_cohorts.py", "experiments/test_planted.py"),
)
"""Files that take a minute or more, by the end of their path."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: one that begins last keeps all other processes waiting."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


@pytest.fixture
def forgotten(tmp_path: Path) -> Iterator[None]:
    """Worlds that a test registers and modules that it imports from its folder are forgotten."""
    entries, modules, files = dict(worlds._entries), set(sys.modules), dict(FILES)
    yield
    worlds._entries.clear()
    worlds._entries.update(entries)
    FILES.clear()
    FILES.update(files)
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build folder in the tree would bring back deleted modules."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    copied(ROOT / "src", copy / "src")
    return built(copy)
