"""Data flows one way: who may import whom, read off the source of every module."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from imports import PACKAGE, PATHS, ROOMS, Import, circle, imports

import powerseek
from powerseek import agents, experiments

KERNEL = "kernel"
LEARNING = {"torch", "stable_baselines3", "sb3_contrib"}
RESULTS = {"pandas", "pyarrow", "pydantic", "pydantic_core", "rich", "scipy"}

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
    "envs/render.py": {"PIL"},
    "experiments/plan/pilot.py": {"cloudpickle"},
    "experiments/sweep/tune.py": {"ray"},
    "experiments/sweep/cluster.py": {"ray"},
    "experiments/report/pages.py": {"jinja2", "markupsafe"},
    "experiments/report/figures/density.py": {"matplotlib"},
    "experiments/report/figures/forest.py": {"matplotlib"},
    "experiments/report/figures/frontier.py": {"matplotlib"},
    "experiments/report/figures/optimising.py": {"matplotlib"},
    "experiments/report/figures/style.py": {"matplotlib", "PIL"},
    "experiments/report/figures/treatments.py": {"matplotlib"},
    "experiments/report/figures/processes.py": {"cloudpickle"},
    "experiments/cli/analyse/figures.py": {"matplotlib"},
    "experiments/report/figures/reach.py": {"matplotlib"},
    "experiments/report/figures/calibration.py": {"matplotlib"},
    "experiments/report/figures/scatter.py": {"matplotlib"},
}

# What each sub-package of a room may import of its own room beside itself; a room's own modules
# stand under its name. Its __init__ hands out names from everywhere in it, and is not held to this.
WITHIN = {
    "agents": {
        "agents": set(),
        "sb3": {"agents"},
        "cohort": {"agents", "sb3"},
        "evolution": {"agents"},
        "foreign": {"agents", "sb3"},
        "tabular": {"agents"},
        "search": {"agents", "sb3", "cohort"},
    },
    "envs": {
        "engine": {"envs"},
        "rewards": set(),
        "envs": {"adapters", "engine", "rewards"},
        "adapters": {"envs", "engine"},
        "checks": {"envs", "adapters", "engine"},
        "worlds": {"envs", "engine"},
    },
    "exact": {
        "solvers": {"exact"},
        "measures": {"exact", "solvers"},
        "exact": {"measures", "solvers"},
    },
    "experiments": {
        "statistics": set(),
        "study": {"statistics"},
        "results": {"study"},
        "analysis": {"statistics", "study", "results"},
        "report": {"statistics", "study", "results", "analysis"},
        "tensorboard": {"study", "results"},
        "sweep": {"study", "results", "tensorboard"},
        "plan": {"statistics", "study", "results", "analysis", "tensorboard", "sweep"},
        # Several finished studies in numbers and in words; made from reports, they belong to none.
        "compare": {"statistics", "study", "results", "analysis", "report"},
        # It trains again (sweep) and makes pages again (report), to hold both against results.
        "verify": {"study", "results", "analysis", "report", "sweep"},
        # run and single: beside verify, these alone see both sweep and report.
        "experiments": {"study", "results", "analysis", "report", "tensorboard", "sweep"},
        "cli": {"study", "results", "report", "plan", "compare", "verify", "experiments"},
    },
}
STATISTICS = {"powerseek.errors", "powerseek.types"}
"""All of ours that statistics import."""
LEAVES = {f"powerseek.experiments.{name}" for name in ("layout", "checksums", "console")}
"""Modules at the root of a room that import no room at run time: everybody in it may use them."""

FULL = 15
"""Modules that a folder holds at most, beside its __init__."""


def owner(module: str) -> str:
    """Room of a powerseek module (kernel if none), top-level package of any other."""
    top, _, rest = module.partition(".")
    if top != "powerseek":
        return top
    room = rest.partition(".")[0]
    return room if room in ROOMS else KERNEL


def place(parts: Sequence[str]) -> str:
    """Sub-package of a room that a path or a module is in, the room itself where in none."""
    inside = len(parts) > 1 and (PACKAGE / parts[0] / parts[1]).is_dir()
    return parts[1] if inside else parts[0]


def forbidden(path: str, source: str) -> list[Import]:
    """What the module at `path` (relative to the package) imports and may not."""
    parts = Path(path).parts
    room = parts[0] if parts[0] in ROOMS else KERNEL
    allowed = MAY_IMPORT[room] | ONLY_IN.get(path, set()) | {room, "numpy"}
    return [
        found
        for found in imports(path, source)
        if (
            owner(found.module) not in allowed
            and owner(found.module) not in sys.stdlib_module_names
            # The kernel hands out what lives in the rooms: it names their types, loads none.
            and not (room == KERNEL and found.typing_only and owner(found.module) in ROOMS)
        )
        or _astray(parts, found.module)
    ]


def _astray(parts: Sequence[str], module: str) -> bool:
    """Whether an import within a room is against the table of its sub-packages."""
    room, here = parts[0], place(parts)
    if here == "statistics" and owner(module) in {KERNEL, *ROOMS} - {room}:
        return module not in STATISTICS
    if owner(module) != room or parts[1:] == ("__init__.py",) or room not in WITHIN:
        return False
    there = "" if module in LEAVES else place(module.split(".")[1:])
    return bool(there) and there != here and there not in WITHIN[room][here]


def violations(path: str, source: str) -> list[str]:
    """The same, in words."""
    return [f"{path}:{found.line} imports {found.module}" for found in forbidden(path, source)]


def read(path: str) -> str:
    """Source of a module of ours."""
    return (PACKAGE / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PATHS)
def test_module_keeps_to_the_tables(path):
    found = forbidden(path, read(path))
    assert found == []


def test_every_room_and_sub_package_is_in_the_tables():
    assert {Path(path).parts[0] for path in PATHS} >= set(ROOMS)
    found = {
        room: {place(Path(p).parts) for p in PATHS if p.startswith(f"{room}/")} for room in ROOMS
    }
    assert {room: set(table) for room, table in WITHIN.items()} == {
        room: places for room, places in found.items() if places != {room}
    }


def test_two_modules_alone_see_both_sweep_and_report():
    both = {
        path for path in PATHS if len(Path(path).parts) == 2 and path.startswith("experiments/")
    }
    leaves = {f"{leaf.removeprefix('powerseek.').replace('.', '/')}.py" for leaf in LEAVES}
    assert both - leaves == {f"experiments/{name}.py" for name in ("__init__", "run", "single")}


def test_leaves_import_nothing_of_the_rooms_when_they_run():
    for leaf in LEAVES:
        path = f"{leaf.removeprefix('powerseek.').replace('.', '/')}.py"
        found = [each for each in imports(path, read(path)) if not each.typing_only]
        assert [each for each in found if owner(each.module) in ROOMS] == []


def test_no_module_imports_itself_by_way_of_others():
    assert circle({path: read(path) for path in PATHS}) == []


@pytest.mark.parametrize(
    "back",
    ["import powerseek.envs.a", "from . import a", "def f():\n    from powerseek.envs.a import x"],
)
def test_circle_is_seen(back):
    sources = {"envs/a.py": "from powerseek.exact.b import x", "exact/b.py": "import powerseek.c"}
    assert circle(sources) == []
    sources["envs/c.py"] = back
    sources["exact/b.py"] = "import powerseek.envs.c"
    found = circle(sources)
    assert {*found} == {"powerseek.envs.a", "powerseek.exact.b", "powerseek.envs.c"}
    sources["envs/c.py"] = "if TYPE_CHECKING:\n    import powerseek.envs.a"
    assert circle(sources) == []


def overfull(paths: Sequence[str]) -> dict[str, int]:
    """Folders with more modules than `FULL`."""
    counts = Counter(Path(p).parent.as_posix() for p in paths if Path(p).name != "__init__.py")
    return {folder: count for folder, count in counts.items() if count > FULL}


def test_no_folder_holds_more_than_a_reader_takes_in():
    assert overfull(PATHS) == {}


def test_overfull_folder_is_seen():
    paths = [f"envs/m{i}.py" for i in range(FULL)]
    assert overfull([*paths, "envs/__init__.py", "envs/checks/a.py"]) == {}
    assert overfull([*paths, "envs/more.py"]) == {"envs": FULL + 1}


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
        ("agents/a.py", "from powerseek.agents.sb3 import adapter", "powerseek.agents.sb3.adapter"),
        ("envs/rewards/a.py", "from powerseek.envs import task", "powerseek.envs.task"),
        ("envs/engine/a.py", "from ..worlds import star", "powerseek.envs.worlds.star"),
        ("exact/solvers/a.py", "from powerseek.exact import measures", "powerseek.exact.measures"),
        *(
            (f"experiments/{here}/a.py", f"import {module}", module)
            for here, module in (
                ("statistics", "powerseek.experiments.study.contrasts"),
                ("statistics", "powerseek.registry"),
                ("statistics", "powerseek.exact.mdp"),
                ("study", "powerseek.experiments.results.store"),
                ("results", "powerseek.experiments.sweep.oracles"),
                ("analysis", "powerseek.experiments.report.figures.style"),
                ("report", "powerseek.experiments.sweep.recording"),
                ("report/figures", "powerseek.experiments.sweep"),
                ("sweep", "powerseek.experiments.analysis.view"),
                ("sweep", "powerseek.experiments.report.text"),
                ("sweep", "powerseek.experiments.run"),
                ("tensorboard", "powerseek.experiments.report.text"),
                ("plan", "powerseek.experiments.report.text"),
                ("cli", "powerseek.experiments.sweep.trial"),
            )
        ),
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
        ("experiments/run.py", "from powerseek.experiments import sweep, report"),
        (
            "experiments/statistics/a.py",
            "from powerseek.errors import x\nfrom powerseek.types import y",
        ),
        ("experiments/statistics/a.py", "from powerseek.experiments.statistics.tests import x"),
        ("envs/__init__.py", "from powerseek.envs.checks.run import conform"),
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
        ("powerseek.experiments.cli.app", LEARNING | {"ray", "matplotlib"}),
    ],
)
def test_importing_loads_nothing_heavy(module, unwanted):
    script = f"import sys, {module}; print(*sys.modules.keys() & {unwanted!r})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert loaded.stdout.split() == []


PUBLIC = [(m, name) for m in (powerseek, agents, experiments) for name in m.__all__]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda one: getattr(one, "__name__", one))
def test_public_name_resolves(module, name):
    assert name in dir(module)
    assert getattr(module, name) is not None


@pytest.mark.parametrize("module", [powerseek, agents, experiments])
def test_unknown_name_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute 'wonder'"):
        _ = module.wonder
