"""Other people's environments: their contract, what their facts say, and their absence."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections import deque
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import powerseek.registry
import pytest
from powerseek.envs import assert_conforms
from powerseek.envs.adapters.foreign import VecForeign
from powerseek.errors import InvalidInput, NotInstalled
from powerseek.registry import Registry

VITALS = ("health", "food", "drink", "energy")
WORLDS = {
    "foreign.minigrid-doorkey": ("minigrid", "powerseek_foreign.doorkey"),
    "foreign.crafter": ("crafter", "powerseek_foreign.crafting"),
    "foreign.textworld-quest": ("textworld", "powerseek_foreign.quest"),
}


def world(id: str, **params: Any) -> Any:
    """A world, or a skipped test where its environment is not installed."""
    library, module = WORLDS[id]
    pytest.importorskip(library)
    import_module(module)
    return powerseek.registry.make_world(id, **params)


@pytest.mark.parametrize("id", WORLDS)
def test_it_keeps_to_the_contract(id: str) -> None:
    assert_conforms(world(id))


@pytest.mark.parametrize("id", WORLDS)
def test_without_its_environment_it_is_absent_and_says_what_to_install(
    id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, module = WORLDS[id]
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    points = (EntryPoint(id, f"{module}:World", "worlds"),)
    monkeypatch.setattr(powerseek.registry, "entry_points", lambda group: points)
    plugins: Registry[Any] = Registry("world", "worlds", {})
    assert plugins.ids() == []
    with pytest.raises(
        InvalidInput, match=rf"pip install 'powerseek-foreign\[{library}\]'"
    ) as told:
        plugins.get(id)
    assert isinstance(told.value.__cause__, NotInstalled)


def shortest(env: Any) -> list[int]:
    """Fewest actions to the goal, by trying them all in copies of the environment."""

    def seen(env: Any) -> tuple[Any, ...]:
        grid = env.unwrapped
        things = [type(thing).__name__ for thing in grid.grid.grid]
        open_ = any(getattr(thing, "is_open", False) for thing in grid.grid.grid)
        at = tuple(int(i) for i in grid.agent_pos)
        return at, grid.agent_dir, grid.carrying is None, open_, tuple(things)

    queue: deque[tuple[Any, list[int]]] = deque([(env, [])])
    known = {seen(env)}
    while queue:
        here, path = queue.popleft()
        for action in range(6):
            there = copy.deepcopy(here)
            *_, terminated, _, _ = there.step(action)
            if terminated:
                return [*path, action]
            if seen(there) not in known:
                known.add(seen(there))
                queue.append((there, [*path, action]))
    raise AssertionError("no way to the goal")


def test_the_way_through_the_door_takes_one_key_and_one_door() -> None:
    made = world("foreign.minigrid-doorkey")
    vec = VecForeign(made, 1, seed=3)
    facts = [vec.fresh_facts[0].copy()]
    actions = shortest(vec.environments[0])
    for action in actions:
        vec.step([action])
        facts.append(vec.facts[0].copy())
    told = {name: np.array(facts)[:, made.columns(name).start] for name in made.fact_names}
    assert list(dict.fromkeys(told["progress"])) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (told["keys"].sum(), told["doors"].sum()) == (1, 1)
    assert told["success"].tolist() == told["over"].tolist() == [0] * len(actions) + [1]
    assert told["own"][-1] == pytest.approx(1 - 0.9 * len(actions) / made.max_steps)
    assert vec.terminated[0]


def test_what_is_gained_is_what_the_inventory_grew_by() -> None:
    made = world("foreign.crafter", quota=22)
    vec = VecForeign(made, 1, seed=1)
    shim: Any = vec.environments[0]
    gained = lost = 0
    held = dict(shim.held)
    for action in np.random.default_rng(0).integers(1, 6, 200):  # walk about, and do
        vec.step([action])
        if vec.episodes[0]:
            break
        before, held = held, dict(shim.held)
        gained += int(vec.facts[0, made.columns("gained")].sum())
        lost += sum(max(0, before[name] - held[name]) for name in held if name not in VITALS)
    assert gained - lost == sum(n for name, n in held.items() if name not in VITALS)
    assert gained > 0


DIGEST = """
import hashlib, numpy as np, powerseek
from powerseek.envs.adapters.foreign import VecForeign
import powerseek_foreign.crafting
vec = VecForeign(powerseek.make_world("foreign.crafter"), 2, 5)
seen = hashlib.sha256()
for t in range(120):
    vec.step([t % 17, t % 5])
    seen.update(vec.observations.tobytes() + vec.facts.tobytes())
print(seen.hexdigest())
"""


def test_crafter_is_the_same_in_every_process() -> None:
    world("foreign.crafter")
    # Other addresses of objects: Crafter keeps them in sets, which the adapter puts in order.
    codes = [f"ballast = [object() for _ in range({n})]\n{DIGEST}" for n in (1, 99_999)]
    seen = {subprocess.check_output([sys.executable, "-c", code], text=True) for code in codes}
    assert len(seen) == 1


def test_only_winning_the_quest_is_paid() -> None:
    made = world("foreign.textworld-quest")
    vec = VecForeign(made, 1, seed=0)
    draws, own, won = np.random.default_rng(0), 0.0, 0
    for _ in range(400):
        vec.step([draws.choice(np.flatnonzero(vec.masks[0]))])
        own += vec.facts[0, made.columns("own").start]
        won += int(vec.facts[0, made.columns("success").start])
        progress = vec.facts[0, made.columns("progress").start]
        assert progress == vec.facts[0, made.columns("success").start]
    vec.close()
    assert own == won > 0
