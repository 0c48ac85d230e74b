"""Start-up of gymnasium ids: known without importing powerseek, at next to no cost to others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/gymnasium.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OURS = "[name for name in sys.modules if name.partition('.')[0] == 'powerseek']"


@pytest.fixture
def started(tmp_path):
    """Runs code as where powerseek is installed: Python starts as by powerseek.pth."""
    start = (ROOT / "src/powerseek.pth").read_text(encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(start)
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "src"), known])

    def run(code, *more):
        path = tmp_path / "script.py"
        path.write_text(code)
        return subprocess.run(
            [sys.executable, *more, str(path)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_ids_are_known_and_another_s_environment_imports_nothing_of_ours(started):
    code = f"""
import sys
assert "gymnasium" not in sys.modules
import gymnasium
gymnasium.make("CartPole-v1").reset(seed=0)
assert {OURS} == []
assert not {{"numba", "torch", "ray"}} & set(sys.modules)
env = gymnasium.make("powerseek/LeakyChess-v0", leak=1, reward="terminal")
print(env.unwrapped.task.world.params.leak, len(gymnasium.envs.registration.registry))
"""
    done = started(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 ")
    assert done.stderr == ""


def test_start_up_imports_next_to_nothing(started):
    code = (
        "import sys; a = set(sys.modules); import powerseek_gymnasium; print(*set(sys.modules) - a)"
    )
    done = started(code, "-S")  # without site, and so without sitecustomize
    assert set(done.stdout.split()) == {"powerseek_gymnasium", "__future__"}


def test_a_fault_of_ours_is_a_warning_and_gymnasium_is_imported(started):
    code = """
import powerseek_gymnasium
powerseek_gymnasium.__file__ = "/nowhere/powerseek_gymnasium.py"
import gymnasium
print(gymnasium.make("CartPole-v1").spec.id)
"""
    done = started(code)
    assert (done.returncode, done.stdout) == (0, "CartPole-v1\n")
    assert "no gymnasium ids of powerseek: " in done.stderr


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_worker_processes_know_the_ids(context, started):
    code = f"""
import gymnasium
from functools import partial
if __name__ == "__main__":
    make = [partial(gymnasium.make, "powerseek/Star-v0")] * 2
    envs = gymnasium.vector.AsyncVectorEnv(make, context={context!r})
    print(envs.reset(seed=0)[0].shape)
    envs.close()
"""
    done = started(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(2, 7)\n"


@pytest.mark.parametrize("code", SNIPPETS, ids=["make", "facts", "make_vec", "sb3", "rllib"])
def test_the_page_s_code_runs(code, started):
    if "ray.rllib" in code:
        pytest.importorskip("tree", reason="ray[rllib] is not installed")
    done = started(code)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout
