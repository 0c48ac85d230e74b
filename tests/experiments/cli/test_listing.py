"""`powerseek envs`, `agents`, `rewards`, `metrics`: everything in a line, and a page of each."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from powerseek.agents import check_agent
from powerseek.envs.task import Task
from powerseek.experiments.cli import app as cli
from powerseek.experiments.cli.listing import PAGES, listing_lines, page
from powerseek.metrics import metric, metric_of
from powerseek.registry import agents, list_worlds, make_world, metrics, rewards

Call = Callable[..., tuple[int, str, str]]
COMMANDS = {"world": "envs", "agent": "agents", "reward": "rewards", "metric": "metrics"}
EVERY = [(kind, id) for kind in PAGES for id in PAGES[kind].registry.builtin]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["powerseek", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.mark.parametrize("kind", PAGES)
def test_all_of_a_kind_are_listed_in_a_line_each(kind: str, call: Call) -> None:
    code, out, err = call(COMMANDS[kind])
    assert (code, err) == (0, "")
    told = [line.split(maxsplit=1) for line in out.split("\n\n")[0].splitlines()]
    assert [name for name, _ in told] == PAGES[kind].registry.ids()
    assert all(about[0].isupper() or about[0] == "`" for _, about in told)
    assert all(10 <= len(about) <= 100 for name, about in told if name != "acquired")
    assert out.endswith(f"\nMore about one: powerseek {COMMANDS[kind]} {kind.upper()}\n")


@pytest.mark.parametrize(("kind", "id"), EVERY)
def test_each_has_a_page_that_begins_with_its_sentence(kind: str, id: str) -> None:
    title, _, first, *rest = page(kind, id).split("\n")
    assert title == id
    assert dict(listing_lines(kind)[0])[id].startswith(first[:40].rstrip("."))
    assert any(line.endswith(":") for line in rest)


@pytest.mark.parametrize("kind", PAGES)
def test_an_unknown_one_is_named_with_the_nearest(kind: str, call: Call) -> None:
    id = next(iter(PAGES[kind].registry.builtin))
    code, out, err = call(COMMANDS[kind], f"{id}x")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {kind.upper()}: got '{id}x'")
    assert f"Did you mean '{id}'?" in err


@pytest.mark.parametrize("id", agents.builtin)
def test_an_agent_is_shown_with_all_settings(id: str) -> None:
    known = check_agent(Task(make_world("required")), id, {})
    shown = page("agent", id).partition("Settings:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in shown.splitlines() if not line.startswith("   ")]
    assert names == (list(known) or ["none"])
    assert all(f"{name} = {value!r}" in shown for name, value in known.items())


def test_settings_of_other_worlds_stand_beside() -> None:
    assert "  learning_rate = 0.003 (0.001 in off-switch)\n" in page("agent", "ppo")


@pytest.mark.parametrize(
    ("id", "lines"),
    [
        ("dense", ["  argument: none", "  reads: progress", "  remembers: nothing", "[dense]"]),
        ("every", ["  argument: an integer from 1 to the cap, or cap", "  options: corrected, of"]),
        ("thinned", ["  argument: a probability above 0, at most 1", "[{thinned: ...}]"]),
        ("coverage", ["  argument: a share from 0 to 1", "  judged by: an overseer"]),
    ],
)
def test_a_reward_says_what_it_takes(id: str, lines: list[str]) -> None:
    assert all(line in page("reward", id) for line in lines)
    assert all(f"rewards: [{{{id}" in page("reward", id) or id == "dense" for _ in lines)


@pytest.mark.parametrize("id", rewards.builtin)
def test_every_reward_says_whether_it_takes_an_argument(id: str) -> None:
    assert "\n  argument: " in page("reward", id)


@pytest.mark.parametrize("id", metrics.builtin)
def test_a_metric_is_shown_with_unit_bounds_place_and_caveat(id: str) -> None:
    known, shown = metric_of(id), page("metric", id)
    assert f"\n  unit: {known.unit}\n" in shown
    assert f"\n  bounds: {known.bounds[0]:g} to {known.bounds[1]:g}\n" in shown
    assert "CAVEAT: " in shown
    where = shown.partition("  defined: in ")[2].partition("\n\n")[0]
    met = [world for world in list_worlds() if known.needs.met(make_world(world))]
    if len(met) == len(list_worlds()):
        assert where.startswith("every world") or met[0] in where
    else:
        listed = " ".join(where.partition(";")[0].split()).split(", ")
        assert listed == met


def test_metrics_tell_how_they_are_evaluated() -> None:
    for id, told in {
        "beyond": "exactly where the world can be enumerated, elsewhere on sampled episodes alone",
        "free": "exactly where the world can be enumerated, not on sampled episodes",
        "return": "on sampled episodes",
        "need_end": "exactly, of the setting",
    }.items():
        assert f"evaluated: {told}" in " ".join(page("metric", id).split())


def test_plugins_are_listed_and_a_broken_one_hides_no_other(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        @property
        def __doc__(self) -> str:  # type: ignore[override]  # broken on purpose
            raise RuntimeError("no words")

    def steps(context: object) -> list[object]:
        """Steps of an episode. And more.

        CAVEAT: none.
        """
        return []

    monkeypatch.setitem(agents._entries, "lab.broken", Broken())
    monkeypatch.setitem(metrics._entries, "lab.steps", metric(unit="steps")(steps))
    monkeypatch.setitem(metrics._entries, "lab.silent", lambda context: [])
    code, out, err = call("agents")
    assert (code, err) == (0, "warning: agent 'lab.broken' cannot be made: no words\n")
    assert len(out.split("\n\n")[0].splitlines()) == len(agents.builtin)
    code, out, _ = call("metrics")
    assert "lab.steps               Steps of an episode\n" in out
    assert "lab.silent              \n" in out
    code, out, _ = call("metrics", "lab.steps")
    assert (code, out.startswith("lab.steps\n\nSteps of an episode. And more.\n")) == (0, True)
    assert call("metrics", "lab.silent")[0] == 0


def test_help_lists_commands_in_the_order_of_their_use(call: Call) -> None:
    _, out, _ = call("--help")
    told = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    first = [name for name in told if name in ("sweep", *COMMANDS.values())]
    assert first == ["sweep", "envs", "agents", "rewards", "metrics"]
    assert told[-4:] == ["new-world", "new-agent", "new-reward", "new-metric"]
