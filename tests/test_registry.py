"""The registry: lazy, refuses overrides, forgiving to readers and to broken plugins."""

import contextlib
import difflib
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import pytest

import powerseek.registry as registry_module
from powerseek.agents.base import Agent
from powerseek.agents.scripted import Random  # noqa: F401  # so that a built-in agent is there
from powerseek.envs.rewards.base import RewardFunction
from powerseek.envs.rewards.timing import Dense  # noqa: F401  # likewise a reward
from powerseek.envs.world import World
from powerseek.envs.worlds.star import Star  # noqa: F401  # likewise a world
from powerseek.errors import InvalidInput
from powerseek.registry import PluginWarning, Registry
from powerseek.signals import asked


@pytest.fixture
def registry() -> Registry:
    made: Registry = Registry("thing", "powerseek.tests-nobody-uses-this", {})
    made.register("apple", 1)
    return made


def test_unknown_name_lists_the_known_and_the_closest(registry):
    with pytest.raises(InvalidInput, match=r"thing: got 'appel'; allowed: apple.*Did you mean"):
        registry.get("appel")
    with pytest.raises(InvalidInput, match=r"import the module, that registers it"):
        registry.get("lab.quince")


def test_override_is_refused_and_the_entry_kept(registry):
    with pytest.raises(InvalidInput, match="not taken"):
        registry.register("apple", 2)
    assert registry.get("apple") == 1


def test_builtin_id_cannot_be_taken_before_it_is_imported():
    made: Registry = Registry("thing", "powerseek.none", {"json": "json.decoder:JSONDecoder"})

    class Impostor:
        pass

    with pytest.raises(InvalidInput, match="not taken"):
        made.register("json", Impostor)


def test_builtin_is_loaded_as_an_entry_point_is():
    places = {"close": "difflib:get_close_matches", "lost": "difflib:lost", "bare": "difflib"}
    made: Registry = Registry("thing", "powerseek.none", places)
    assert made.get("close") is difflib.get_close_matches
    assert made.ids() == ["bare", "close", "lost"]
    with pytest.raises(InvalidInput, match="'lost' skipped: AttributeError"):
        made.get("lost")
    with pytest.raises(InvalidInput, match="importing it registers no thing 'bare'"):
        made.get("bare")


def test_running_a_notebook_cell_again_is_not_an_override(registry):
    first = type("Mine", (), {"__module__": "__main__", "__qualname__": "Mine"})
    second = type("Mine", (), {"__module__": "__main__", "__qualname__": "Mine"})
    registry.register("mine", first)
    registry.register("mine", second)
    assert registry.get("mine") is second
    assert registry.local() == {"mine": second}


def plugins(monkeypatch, *points):
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    return Registry("thing", "some.group", {})


def test_plugin_is_loaded_when_asked_for(monkeypatch):
    made = plugins(monkeypatch, EntryPoint("pi", "math:pi", "some.group"))
    assert made.get("pi") == pytest.approx(3.14159, abs=1e-4)
    assert made.ids() == ["pi"]


def test_broken_plugin_is_named_and_skipped(monkeypatch):
    made = plugins(
        monkeypatch,
        EntryPoint("bad", "no_such_module_anywhere:thing", "some.group"),
        EntryPoint("pi", "math:pi", "some.group"),
    )
    with pytest.warns(PluginWarning, match="no_such_module_anywhere"):
        assert made.ids() == ["pi"]
    with pytest.raises(InvalidInput, match="'bad' skipped: ModuleNotFoundError"):
        made.get("bad")


def test_plugin_without_its_library_is_left_out_without_a_word(monkeypatch, tmp_path):
    (tmp_path / "needy_plugin.py").write_text(
        "from powerseek.errors import NotInstalled\n"
        "raise NotInstalled('crafter', 'pip install crafter')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = plugins(monkeypatch, EntryPoint("craft", "needy_plugin:Craft", "some.group"))
    assert made.ids() == []
    words = "'craft'; allowed: a thing whose libraries are installed. crafter is not installed. "
    with pytest.raises(InvalidInput, match=f"{words}Write: pip install crafter"):
        made.get("craft")


def test_second_plugin_of_one_id_is_named_and_skipped(monkeypatch):
    made = plugins(
        monkeypatch,
        EntryPoint("pi", "math:pi", "some.group"),
        EntryPoint("pi", "math:e", "some.group"),
    )
    with pytest.warns(PluginWarning, match="'math:e' offers thing 'pi', which is taken"):
        assert made.ids() == ["pi"]


def test_importing_powerseek_imports_nothing_heavy():
    code = (
        "import sys, powerseek; powerseek.list_worlds(); "
        "heavy = {'torch', 'ray', 'numba', 'pandas', 'matplotlib'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_entries_of_a_script_travel_by_value_and_modules_by_name(monkeypatch):
    mine = type("Mine", (), {"__module__": "__main__", "__qualname__": "Mine"})
    theirs = type("Theirs", (), {"__module__": "wave", "__qualname__": "Theirs"})
    monkeypatch.setattr(registry_module.worlds, "_entries", {"mine": mine, "theirs": theirs})
    exported = registry_module.export_entries()
    assert exported["local"]["world"] == {"mine": mine}
    assert "wave" in exported["modules"]
    monkeypatch.setattr(registry_module.worlds, "_entries", {})
    registry_module.import_entries(exported)
    assert registry_module.worlds.get("mine") is mine


@pytest.mark.parametrize("kind", ["worlds", "rewards", "agents", "metrics"])
def test_everything_of_ours_is_known_before_its_module_is_loaded(kind):
    registry = getattr(registry_module, kind)
    for id in list(registry.builtin):
        registry.get(id)
    ours = {
        id
        for id, entry in registry._entries.items()
        if getattr(entry, "__module__", "").startswith("powerseek.")
    }
    assert ours == set(registry.builtin)


def test_a_built_in_class_carries_its_id_however_its_module_is_imported():
    code = (
        "import importlib\n"
        "from operator import attrgetter\n"
        "from powerseek.registry import agents, rewards, worlds\n"
        "for registry in (worlds, rewards, agents):\n"
        "    for id, point in registry.builtin.items():\n"
        "        entry = attrgetter(point.attr)(importlib.import_module(point.module))\n"
        "        assert entry.id == id, (entry, entry.id)\n"
        "    assert not registry._entries\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("base", [World, RewardFunction, Agent])
def test_what_derives_from_a_built_in_class_without_an_id_keeps_its_parents(base):
    parent = next(c for c in base.__subclasses__() if c.id and c.__module__.startswith("powerseek"))
    assert type("Mine", (parent,), {}).id == parent.id
    assert type("Mine", (base,), {}).id == ""


NO_IDS = ["", "a b", "../x", "a/b", "a\\b", "a..b", ".a", "a.", "-a", "a\0", "a\n", "x" * 61]
NO_IDS += ["\x1b[31mred", "my[/red]", "<b>", "a\u202eb", "\ud800", 3]


@pytest.mark.parametrize("id", NO_IDS)
def test_an_id_that_is_no_name_is_refused(id, registry, monkeypatch):
    with pytest.raises(InvalidInput, match=r"thing id: got .* allowed: at most 60 letters, digits"):
        registry.register(id, 2)
    offered = plugins(monkeypatch, EntryPoint(id, "math:pi", "some.group"))
    with pytest.warns(PluginWarning, match="'math:pi' offers thing .* not at most 60"):
        assert offered.ids() == []


@pytest.mark.parametrize("id", ["a", "my.star", "off-switch", "probe_orbit", "lab.ppo2", "blüte"])
def test_an_id_that_is_a_name_is_taken(id, registry):
    assert registry.register(id, 2) == 2


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """A registry of one plugin, whose module has this source, beside a sound one."""

    def write(source):
        name = f"plugin_{abs(hash(source))}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        points = {"bad": f"{name}:Thing", "pi": "math:pi"}
        return plugins(monkeypatch, *(EntryPoint(*p, "some.group") for p in points.items()))

    return write


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit",
        "import sys; sys.exit('done')",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "class Odd(BaseException): pass\nraise Odd",
    ],
)
def test_a_plugin_that_ends_the_process_is_named_and_skipped(source, offered):
    registry = offered(source)
    with asked(), pytest.warns(PluginWarning, match=r"'bad' skipped: ProcessLeft: \w+.*line \d"):
        assert registry.ids() == ["pi"]


@pytest.mark.parametrize(
    ("number", "answering"),
    [
        (signal.SIGINT, contextlib.nullcontext),
        (signal.SIGINT, asked),
        (signal.SIGTERM, asked),
    ],
)
def test_a_signal_while_a_plugin_is_imported_is_no_fault_of_it(number, answering, offered):
    registry = offered(f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(9)")
    signal.signal(number, signal.default_int_handler)  # a shell's background ignores it
    with answering(), pytest.raises(KeyboardInterrupt):
        registry.ids()


def test_a_plugin_that_hangs_is_named_in_time_and_not_tried_again(offered, monkeypatch):
    monkeypatch.setattr(registry_module, "IMPORT_SECONDS", 0.2)
    registry = offered("import time\ntime.sleep(60)\nclass Thing: pass")
    begun = time.monotonic()
    for _ in range(2):
        with pytest.warns(PluginWarning, match="TimeoutError: not imported within 0.2 seconds"):
            assert registry.ids() == ["pi"]
    assert time.monotonic() - begun < 10
    assert not any(signal.getitimer(signal.ITIMER_REAL))
