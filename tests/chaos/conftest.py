"""The study of all faults, undisturbed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import faults
import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder, after a run without Ray and without a fault."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "study.yaml").write_text(faults.STUDY)
    with contextlib.chdir(folder):
        said = faults.answer(*faults.WORDS)
    assert said.code == 0, said.err
    assert len(faults.finished(folder / "out")) == faults.TRIALS
    assert not faults.torn(folder / "out") + faults.temporaries(folder / "out")
    return folder
