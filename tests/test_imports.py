"""Data flows one way: who may import whom, read off the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import powerseek

PACKAGE = Path(powerseek.__file__).parent
KERNEL = "kernel"
ROOMS = ("agents", "envs", "exact", "experiments", "metrics")
LEARNING = {"torch", "stable_baselines3", "sb3_contrib"}
RESULTS = {"pandas", "pyarrow", "pydantic", "pydantic_core", "rich", "scipy", "statsmodels"}

# What a room may import beside the standard library, numpy and itself.
MAY_IMPORT = {
    KERNEL: {"gymnasium"},
    "envs": {KERNEL, "numba", "gymnasium"},
    "exact": {KERNEL, "envs", "numba", "scipy"},
    "agents": {KERNEL, "envs", "exact", "numba", "scipy", "gymnasium"} | LEARNING,
    "metrics": {KERNEL, "envs", "exact", "numba", "scipy"},
    "experiments": {*ROOMS, KERNEL, "gymnasium", "tensorboard", "typer", "yaml"} | RESULTS,
}
# What single modules may import on top of their room.
ONLY_IN = {
    "experiments/sweep/tune.py": {"ray"},
    "experiments/report/figures/density.py": {"matplotlib"},
    "experiments/report/figures/style.py": {"matplotlib", "PIL"},
    "experiments/report/figures/treatments.py": {"matplotlib"},
    "experiments/cli/analyse_figures.py": {"matplotlib"},
    "experiments/report/figures/reach.py": {"matplotlib"},
    "experiments/report/figures/calibration.py": {"matplotlib"},
    "experiments/report/figures/scatter.py": {"matplotlib"},
}


class Import(NamedTuple):
    """One imported module, and whether type checkers alone see the import."""

    module: str
    line: int
    typing_only: bool = False


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import of a module of `package`, inside functions too, and ``import_module("x")``."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for module in _imported(node, package):
            yield Import(module, getattr(node, "lineno", 0), id(node) in typing_only)


def _imported(node: ast.AST, package: str) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = package.split(".")[: len(package.split(".")) + 1 - level] if level else []
            stem = ".".join([*base, *([module] if module else [])])
            # `from powerseek import exact` imports a room, `from powerseek.exact import x` too.
            return [f"{stem}.{alias.name}" for alias in names] if stem == "powerseek" else [stem]
        case ast.Call(func=func, args=[ast.Constant(value=str(module)), *_]) if ast.unparse(
            func
        ).rpartition(".")[2] in {"import_module", "__import__"}:
            return [module]
        case ast.Attribute(value=ast.Name(id="powerseek"), attr=attr) if attr in ROOMS:
            return [f"powerseek.{attr}"]
    return []


def owner(module: str) -> str:
    """Room of a powerseek module (kernel if none), top-level package of any other."""
    top, _, rest = module.partition(".")
    if top != "powerseek":
        return top
    room = rest.partition(".")[0]
    return room if room in ROOMS else KERNEL


def violations(path: str, source: str) -> list[str]:
    """What the module at `path` (relative to the package) imports and may not."""
    parts = Path(path).parts
    room = parts[0] if parts[0] in ROOMS else KERNEL
    allowed = MAY_IMPORT[room] | ONLY_IN.get(path, set()) | {room, "numpy"}
    package = ".".join(["powerseek", *parts[:-1]])
    return [
        f"{path}:{found.line} imports {found.module}"
        for found in imports(source, package)
        if owner(found.module) not in allowed
        and owner(found.module) not in sys.stdlib_module_names
        # The kernel hands out what lives in the rooms: it may name their types, never load them.
        and not (room == KERNEL and found.typing_only and owner(found.module) in ROOMS)
    ]


MODULES = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES)
def test_module_keeps_to_the_table(path):
    assert violations(path, (PACKAGE / path).read_text(encoding="utf-8")) == []


def test_every_room_is_checked():
    assert {Path(path).parts[0] for path in MODULES} >= set(ROOMS)


@pytest.mark.parametrize(
    ("path", "source", "culprit"),
    [
        ("metrics/a.py", "import torch", "torch"),
        ("metrics/a.py", "def f():\n    from torch.nn import Linear", "torch.nn"),
        ("metrics/a.py", "from powerseek.agents.planners import x", "powerseek.agents.planners"),
        ("metrics/a.py", "from powerseek import agents", "powerseek.agents"),
        ("metrics/a.py", "from ..agents import x", "powerseek.agents"),
        ("metrics/a.py", "from .. import agents", "powerseek.agents"),
        ("metrics/a.py", "import powerseek\npowerseek.agents.rollout()", "powerseek.agents"),
        ("metrics/a.py", "import importlib\nimportlib.import_module('ray.tune')", "ray.tune"),
        ("metrics/a.py", "if TYPE_CHECKING:\n    from powerseek import agents", "powerseek.agents"),
        ("agents/a.py", "from powerseek.metrics import x", "powerseek.metrics"),
        ("agents/a.py", "import ray", "ray"),
        ("envs/a.py", "import powerseek.exact.mdp as m", "powerseek.exact.mdp"),
        ("envs/a.py", "import stable_baselines3", "stable_baselines3"),
        ("exact/a.py", "import gymnasium", "gymnasium"),
        ("experiments/sweep/trial.py", "import ray", "ray"),
        ("experiments/sweep/trial.py", "import torch", "torch"),
        ("experiments/analysis/summary.py", "from matplotlib import pyplot", "matplotlib"),
        ("registry.py", "from powerseek.envs.world import World", "powerseek.envs.world"),
        ("registry.py", "import numba", "numba"),
    ],
)
def test_checker_sees_a_forbidden_import(path, source, culprit):
    line = source.count("\n") + 1
    assert violations(path, source) == [f"{path}:{line} imports {culprit}"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("metrics/a.py", "import math\nimport numpy as np\nfrom powerseek.exact.mdp import x"),
        ("metrics/a.py", "from powerseek import make_world\nfrom . import b\nfrom .b import c"),
        ("experiments/sweep/tune.py", "from ray import tune"),
        (
            "experiments/report/figures/treatments.py",
            "def f():\n    import matplotlib.pyplot as plt",
        ),
        ("registry.py", "if TYPE_CHECKING:\n    from powerseek.envs.world import World"),
    ],
)
def test_checker_allows_the_table(path, source):
    assert violations(path, source) == []


HEAVY = {"matplotlib", "numba", "pandas", "ray", "scipy", *LEARNING}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("powerseek", HEAVY),
        ("powerseek.registry", HEAVY),
        ("powerseek.envs", LEARNING | {"ray"}),
        ("powerseek.exact", LEARNING | {"ray"}),
        ("powerseek.metrics", LEARNING | {"ray"}),
        ("powerseek.experiments.cli.main", LEARNING | {"ray", "matplotlib"}),
    ],
)
def test_importing_loads_nothing_heavy(module, unwanted):
    script = f"import sys, {module}; print(*sys.modules.keys() & {unwanted!r})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("name", powerseek.__all__)
def test_public_name_resolves(name):
    assert getattr(powerseek, name) is not None
    assert name in dir(powerseek)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'worlds_of_wonder'"):
        _ = powerseek.worlds_of_wonder
