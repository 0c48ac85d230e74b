"""Where nothing usual can be written; each in a process that settles its caches anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VARIABLES = ("HOME", "POWERSEEK_CACHE", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
UNNAMED = """
import pwd
def unnamed(uid): raise KeyError(uid)
pwd.getpwuid = unnamed
"""
LOOK = """
import getpass, json, os, stat, sys, warnings
import powerseek
from numba.core.caching import InTreeCacheLocator
InTreeCacheLocator.from_function = classmethod(lambda *_: None)  # a read-only installation
from powerseek.cache import cache_folder, warn_of_cache
from powerseek.exact import state_index
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warn_of_cache()
    warn_of_cache()
compiled = next(x for x in vars(state_index).values() if hasattr(x, "nopython_signatures"))
found = {
    "folder": cache_folder(),
    "numba": compiled._cache.cache_path,
    "matplotlib": os.environ.get("MPLCONFIGDIR"),
    "warnings": [str(x.message) for x in caught],
    "user": getpass.getuser(),
    "mode": stat.S_IMODE(os.stat(os.path.dirname(cache_folder())).st_mode),
}
"""
TELL = LOOK + "print(json.dumps(found))"
WITH_CHILD = f"""{LOOK}
import subprocess
child = subprocess.check_output([sys.executable, "-c", {UNNAMED + TELL!r}])
print(json.dumps(found | {{"child": json.loads(child)}}))
"""


def look(code: str, cwd: Path, **variables: str | Path) -> Any:
    unset = (*VARIABLES, *NAMES)
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    done = subprocess.run(
        [sys.executable, "-c", UNNAMED + code],
        cwd=cwd,
        env={**environment, "TMPDIR": str(cwd), **{k: str(v) for k, v in variables.items()}},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("which", ["HOME", "POWERSEEK_CACHE", None])
def test_a_private_folder_stands_for_one_that_cannot_be_written(
    which: str | None, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    found = look(WITH_CHILD, tmp_path, **({} if which is None else {which: blocked}))
    private = Path(found["folder"]).parent
    assert private.parent == tmp_path
    assert private.name.startswith("powerseek-")
    assert found["mode"] == 0o700
    assert private in Path(found["numba"]).parents
    assert private in Path(found["matplotlib"]).parents
    assert [("set POWERSEEK_CACHE" in words) for words in found["warnings"]] == [True]
    assert found["child"] == {**found["child"], "folder": found["folder"], "warnings": []}
    assert private in Path(found["child"]["numba"]).parents
    assert list(tmp_path.iterdir()) == [blocked], "it is removed, and no folder is named ~"
    assert found["user"] == str(os.getuid())


def test_one_variable_rules_every_cache(tmp_path: Path) -> None:
    found = look(TELL, tmp_path, POWERSEEK_CACHE="mine", LOGNAME="ada")
    folder = tmp_path / "mine"
    assert found["folder"] == str(folder), "workers stand elsewhere"
    assert folder / "numba" in Path(found["numba"]).parents
    assert found["matplotlib"] == str(folder / "matplotlib")
    assert found["warnings"] == []
    assert found["user"] == "ada"


def test_a_cache_of_numba_that_was_named_stays(tmp_path: Path) -> None:
    found = look(TELL, tmp_path, POWERSEEK_CACHE="mine", NUMBA_CACHE_DIR=tmp_path / "theirs")
    assert tmp_path / "theirs" in Path(found["numba"]).parents


def test_numba_that_was_imported_before_is_told(tmp_path: Path) -> None:
    found = look(f"import numba\n{TELL}", tmp_path, POWERSEEK_CACHE="mine")
    assert tmp_path / "mine" in Path(found["numba"]).parents


def test_sweeps_can_be_imported_without_a_home(tmp_path: Path) -> None:
    code = "import powerseek.experiments.sweep.tune as tune; print(bool(tune.sweep) and 1)"
    assert look(code, tmp_path) == 1
