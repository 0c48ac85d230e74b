"""Files of strangers are data: nothing in the package runs what a file says when it reads one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import PACKAGE

SAFE = {
    "load": {"allow_pickle": False, "weights_only": True},
    "read_array": {"allow_pickle": False},
}
"""Readers that obey what they read unless they are told not to, and the word that tells them."""
OBEYING = {"eval", "exec", "read_pickle", "unsafe_load", "full_load", "Unpickler"}
OF_MODULES = {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve", "yaml"}
"""Modules whose `load`, `loads` and `open` make objects; of YAML only `safe_load` does not."""
OWN_PIPE = {
    ("experiments/plan/pilot.py", "loads"),
    ("experiments/report/figures/processes.py", "loads"),
}
"""What this process itself sent to its child or had from it, by pipe."""


def obeying(source: str) -> Iterator[str]:
    """Names of calls that may run what they read."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        base, name = "", ""
        if isinstance(node.func, ast.Name):
            name = node.func.id
        elif isinstance(node.func, ast.Attribute):
            name = node.func.attr
            base = ast.unparse(node.func.value)
        words = {word.arg: ast.literal_eval(word.value) for word in node.keywords if _plain(word)}
        told = any(words.get(word) is value for word, value in SAFE.get(name, {}).items())
        if (
            (name in OBEYING and base in ("", "pd", "pandas", "yaml", "pickle", "builtins"))
            or (base in OF_MODULES and name in ("load", "loads", "load_all", "open"))
            or (base in ("np", "numpy", "torch", "form") and name in SAFE and not told)
        ):
            yield name


def _plain(word: ast.keyword) -> bool:
    return word.arg is not None and isinstance(word.value, ast.Constant)


def test_no_reader_runs_what_it_reads() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in obeying(path.read_text(encoding="utf-8"))
    }
    assert found == OWN_PIPE


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "yaml.load(f, Loader=L)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "eval(text)",
        "pd.read_pickle(f)",
    ],
)
def test_such_readers_are_seen(line: str) -> None:
    assert list(obeying(line))


def test_every_promise_names_tests_that_are_there() -> None:
    root = Path(__file__).parents[1]
    promises, _ = (root / "SECURITY.md").read_text(encoding="utf-8").split("## What is not")
    paragraphs = promises.split("\n\n**")[1:]
    assert len(paragraphs) == 4
    for paragraph in paragraphs:
        named = re.findall(r"`(tests/[\w/]+\.py)`", paragraph)
        assert named
        assert all((root / path).is_file() for path in named), named
