"""Fixtures that more than one module of tests needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import hypothesis
import pytest
from installed import ROOT, built, copied

# No test measures time, and a busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build folder in the tree would bring back deleted modules."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    copied(ROOT / "src", copy / "src")
    return built(copy)
