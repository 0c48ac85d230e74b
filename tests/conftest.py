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
from powerseek.signals import unchanged

# Every test computes what it looks at, whatever other studies of this user have left.
os.environ["POWERSEEK_SHARE_EXACT"] = "0"

# No test measures time, and a busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


LONGEST = (
    *("envs/checks/test_run.py", "chaos/test_damages.py", "tests/test_plugins.py"),
    *("experiments/test_planted.py", "tests/test_golden.py", "engine/test_vec.py"),
    *("worlds/test_minichess_rules.py", "experiments/test_broken_metric.py"),
    *("tests/test_new_plugins.py", "cli/test_any_input.py"),
    *("sweep/test_sweep.py", "sweep/test_cohorts.py"),
)
"""Files that take long, by the end of their path; all but the last line measured, longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: one that begins last keeps all other processes waiting.

    With xdist it takes --no-loadscope-reorder.
    """

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((i for i, end in enumerate(LONGEST) if path.endswith(end)), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command that a test interrupts goes on ignoring signals; the next test must not."""
    with unchanged():
        yield


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
