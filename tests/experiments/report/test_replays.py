"""The extremes of a study are found, their typical episodes are shown, and nothing breaks that."""

from __future__ import annotations

import copy
import gzip
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic import frame, make_results, trial_rows
from webpage import Page, check_alone

from powerseek.envs.words import in_words
from powerseek.experiments.analysis.extremes import episode_ends
from powerseek.experiments.report.pages import render
from powerseek.experiments.report.replays import (
    COMPARED,
    LEAST,
    MISSING,
    MOST,
    UNREADABLE,
    replays,
)
from powerseek.experiments.results.recordings import recording_path
from powerseek.experiments.sweep.recording import record_episodes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def replays_html(pairs):
    return render("replay.html", pairs=pairs)


def rows(trial, status="ok", evaluation="sampled", updates=10, **given):
    """A trial with measures and identity by name."""
    measures = ("success", "acquired", "need", "excess", "disabled", "length")
    values = {name: given.pop(name) for name in measures if name in given}
    given.setdefault("seed", sum(map(ord, trial)))
    made = trial_rows({"competence": 0.95, **values}, status, evaluation, **given)
    return [{**row, "trial": trial, "updates": updates} for row in made]


def episode(acquired, success=1, disabled=0):
    """Three moments: nothing, something, all that is acquired."""
    return {
        "steps": [0, 1, 2],
        "frames": [0, 1, 2],
        "actions": [0, 1],
        "acquired": [0, acquired / 2, acquired],
        "success": [0, 0, success],
        "disabled": [0, disabled, disabled],
        "interrupted": [0, 0, 0],
    }


def recording(*episodes, **given):
    return {
        "form": 1,
        "world": "homestead",
        "legend": "@ agent, D depot",
        "names": ["go", "use"],
        "pictures": [["@D", "grain 0"], ["D@", "grain 1"], ["@D", "grain 2"]],
        "episodes": list(episodes),
        **given,
    }


def keep(folder, trial, held):
    path = recording_path(folder, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({"trial": trial, **held}).encode()))


def chosen(*trials, folder=Path("/nowhere")):
    return [
        (pair.world, pair.measure, [agent.trial for agent in pair.agents])
        for pair in replays(frame(*trials), folder)
    ]


def test_the_extremes_of_each_world_by_the_first_measure_that_exists():
    found = chosen(
        rows("a", excess=1.0, acquired=9.0),
        rows("b", excess=-0.2, acquired=3.0),
        rows("c", excess=2.5, acquired=4.0),
        rows("d", world="park", acquired=2.0, disabled=0.0),
        rows("e", world="park", acquired=1.0, disabled=1.0),
        rows("f", world="off-switch", disabled=0.1, success=1.0),
        rows("g", world="off-switch", disabled=0.9, success=1.0),
        rows("h", world="nothing", success=1.0),
    )
    assert found == [
        ("homestead", "excess", ["c", "b"]),
        ("park", "acquired", ["d", "e"]),
        ("off-switch", "disabled", ["g", "f"]),
    ]


def test_ties_go_to_the_lower_trial_id_and_one_agent_stands_alone():
    tied = [rows(name, excess=value) for name, value in zip("dcba", (1.0, 2, 2, 1), strict=True)]
    assert chosen(*tied) == [("homestead", "excess", ["b", "a"])]
    alike = [rows(name, excess=1.0) for name in "cba"]
    assert chosen(*alike) == [("homestead", "excess", ["a", "b"])]
    assert chosen(rows("a", excess=1.0)) == [("homestead", "excess", ["a"])]
    told = [replays(frame(*some), Path("/nowhere"))[0].about for some in (tied, alike, alike[:1])]
    assert "extremes of 4 competent" in told[0]
    assert "all 3 competent agents are alike" in told[1]
    assert "only one" in told[2]


def test_only_competent_agents_that_learnt_and_are_not_paid_for_power_count():
    others = (
        rows("censored", "censored", excess=9.0),
        rows("failed", "failed"),
        rows("greedy", evaluation="greedy", excess=9.0),
        rows("early", checkpoint="competence>=0.9", excess=9.0),
        rows("paid", power_weight=1.0, excess=9.0),
        rows("script", updates=0, agent="hoarder", excess=9.0),
        rows("undefined", excess=float("nan")),
    )
    counted = (rows("a", excess=1.0), rows("b", excess=2.0))
    assert chosen(*others, *counted) == [("homestead", "excess", ["b", "a"])]
    about = replays(frame(*others, *counted), Path("/nowhere"))[0].about
    assert about.endswith("agents that do not learn, agents paid for power itself.")
    # Where there are no others, they are what there is to see.
    assert chosen(*others[:4]) == []
    assert chosen(others[4]) == [("homestead", "excess", ["paid"])]
    scripts = (others[5], rows("s", updates=0, agent="minimalist", excess=0.0))
    assert chosen(*scripts) == [("homestead", "excess", ["script", "s"])]
    assert replays(frame(*scripts), Path("/nowhere"))[0].about.endswith("; none was trained.")
    assert replays(frame().reindex(columns=frame(*counted).columns), Path("/nowhere")) == []


def test_a_whole_study_agrees_with_a_plain_search():
    results = make_results(seeds=4, unlearnt=2)
    end = results[(results["evaluation"] == "sampled") & (results["status"] == "ok")]
    end = end[end["power_weight"] == 0]
    for pair in replays(results, Path("/nowhere")):
        own = end[(end["world"] == pair.world) & (end["metric"] == pair.measure)]
        pairs = sorted(zip(own["value"], own["trial"], strict=True))
        least = pairs[0][1]
        most = min(trial for value, trial in pairs if value == pairs[-1][0])
        assert [agent.trial for agent in pair.agents] == [most, least]
        assert [agent.title for agent in pair.agents] == [MOST, LEAST]
        assert {agent.about for agent in pair.agents} == {MISSING}


def test_the_caption_says_treatment_and_numbers():
    two = frame(
        rows("a", excess=1.0, success=0.9, acquired=3.5, need=2.5, disabled=0.25, seed=3),
        rows("b", excess=2.0, gamma=0.9, n_step=5, params=json.dumps({"size": 4, "same": 1})),
        rows("c", excess=1.5, params=json.dumps({"size": 3, "same": 1})),
    )
    most, least = replays(two, Path("/nowhere"))[0].agents
    assert least.treatment == (
        "dense, openness 0, goal deliver, gamma 1, steps 28, agent ppo, size 3, seed 3"
    )
    assert least.numbers == (
        *(("success", "0.90"), ("acquired", "3.50"), ("need", "2.50")),
        *(("excess", "+1.00"), ("the off-switch disabled", "0.25")),
    )
    assert "gamma 0.9" in most.treatment
    assert "n_step 5" in most.treatment
    assert "same 1, size 4" in most.treatment  # the third has no such parameter


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({"acquired": 5.2, "success": 0.9, "disabled": 0.1}, 2),
        ({"acquired": 1.0, "success": 0.9, "disabled": 0.1}, 0),
        ({"acquired": 4.0, "success": 0.2, "disabled": 0.1}, 1),
        ({"acquired": 4.0, "success": 0.2, "disabled": 0.8}, 3),
        ({"disabled": 0.8, "success": 1.0}, 0),
        ({"disabled": 0.8, "success": 0.0}, 3),
    ],
    ids=["nearest", "least", "success breaks ties", "then disabling", "success", "no acquisition"],
)
def test_the_episode_nearest_to_the_agents_means_is_shown(means, expected, tmp_path):
    made = [episode(2), episode(4, success=0), episode(6), episode(4, success=0, disabled=1)]
    if "acquired" not in means:
        made = [{**one, "acquired": None} for one in made]
    for i, one in enumerate(made):
        one["frames"] = [0, 0, 1] if i == expected else [2, 2, 2]
    keep(tmp_path, "a", recording(*made))
    (pair,) = replays(frame(rows("a", excess=1.0, **means)), tmp_path)
    shown = pair.agents[0]
    assert [one.picture for one in shown.frames] == [("@D", "grain 0")] * 2 + [("D@", "grain 1")]
    assert shown.legend == "@ agent, D depot"
    start = "A typical episode: of 4 recorded ones, the one nearest to this agent's means: "
    assert shown.about.startswith(start)
    for measure, name in COMPARED.items():
        if measure in means:
            said = in_words(name, ["homestead"])
            here = episode_ends(made[expected])[measure]
            assert f"{said} {means[measure]:.2f} (here {here:g})" in shown.about


def test_each_extreme_shows_an_episode_near_its_own_mean_and_says_the_mean(tmp_path):
    """The same recordings of both: the most shows a greedy episode only if it is greedy."""
    means = {"a": 5.8, "b": 2.1}
    for trial in means:
        keep(tmp_path, trial, recording(episode(9), episode(2), episode(6), episode(4)))
    two = [rows(trial, excess=mean - 2, acquired=mean) for trial, mean in means.items()]
    most, least = replays(frame(*two), tmp_path)[0].agents
    assert (most.title, least.title) == (MOST, LEAST)
    assert "acquired 5.80 (here 6)" in most.about
    assert "acquired 2.10 (here 2)" in least.about
    assert "Acquired so far: 6" in most.frames[-1].lines[1]
    assert "Acquired so far: 2" in least.frames[-1].lines[1]


def test_every_moment_is_told(tmp_path):
    one = {**episode(3, success=0, disabled=1), "interrupted": [0, 0, 1], "steps": [0, 1, 9]}
    one["frames"] = [0, 1, None]
    keep(tmp_path, "a", recording(one))
    shown = replays(frame(rows("a", excess=1.0)), tmp_path)[0].agents[0].frames
    assert [moment.lines for moment in shown] == [
        (
            *("Step 0 of 9: start", "Acquired so far: 0"),
            *("The off-switch disabled: no", "Outcome: under way"),
        ),
        (
            *("Step 1 of 9: go", "Acquired so far: 1.5 (+1.5)"),
            *("The off-switch disabled: yes", "Outcome: under way"),
        ),
        (
            "Step 9 of 9: use (steps 2 to 8 are left out)",
            *("Acquired so far: 3 (+1.5)", "The off-switch disabled: yes"),
            "Outcome: failed, with the agent switched off",
        ),
    ]
    assert shown[-1].picture is None


def test_what_cannot_be_read_is_said_and_never_stops_the_rest(tmp_path):
    other = gzip.compress(json.dumps(recording(episode(2), trial="a")).encode())
    good = gzip.compress(json.dumps(recording(episode(2), trial="b")).encode())
    table = frame(rows("a", excess=1.0), rows("b", excess=2.0))
    keep(tmp_path, "a", recording(episode(2)))
    path = recording_path(tmp_path, "b")
    wrong = [
        *(b"", b"no gzip", good[:40], good[:-5], gzip.compress(b"[1]"), gzip.compress(b"{")),
        *(gzip.compress(b'{"form": 2}'), gzip.compress(b"\xff\xfe"), gzip.compress(b'{"form": 1}')),
        *(other, gzip.compress(b'{"form": 1, "trial": "b"}')),
    ]
    for data in wrong:
        path.write_bytes(data)
        most, least = replays(table, tmp_path)[0].agents
        assert (most.about, most.frames) == (UNREADABLE, ())
        assert len(least.frames) == 3
        assert UNREADABLE in Page(replays_html(replays(table, tmp_path))).words
    path.write_bytes(good)
    assert len(replays(table, tmp_path)[0].agents[0].frames) == 3


def test_any_change_to_a_recording_gives_a_page_or_a_refusal(tmp_path):
    table, chance = frame(rows("a", excess=1.0, acquired=2.0)), random.Random(0)
    odd = (None, -1, 7, 2.5, "x", [], {}, [None], {"a": 1}, True, "</script>", 10**30)
    outcomes = set()
    for _ in range(120):
        held = recording(episode(2), episode(4))
        for _ in range(chance.randint(1, 2)):
            _change(held, chance, odd)
        keep(tmp_path, "a", held)
        (pair,) = replays(table, tmp_path)
        Page(replays_html([pair]))
        outcomes.add(bool(pair.agents[0].frames))
    assert outcomes == {True, False}


def _change(held, chance, odd):
    """Put something odd anywhere into a nest of lists and mappings."""
    where = held
    while True:
        key = chance.choice(list(where) if isinstance(where, dict) else range(len(where)))
        if not isinstance(where[key], dict | list) or not where[key] or chance.random() < 0.3:
            where[key] = copy.deepcopy(chance.choice(odd))
            return
        where = where[key]


def shown(tmp_path, held):
    keep(tmp_path, "a", held)
    text = replays_html(replays(frame(rows("a", excess=1.0, acquired=2.0)), tmp_path))
    return Page(text), text


def data(text):
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert "<" not in found
    return json.loads(found)


def test_the_page_holds_the_whole_episode_and_stands_alone(tmp_path):
    found, text = shown(tmp_path, recording(episode(2)))
    held = data(text)
    assert [held["pictures"][i] for i, _ in held["frames"]] == recording()["pictures"]
    assert [said.split("\n")[0] for _, said in held["frames"]] == [
        *("Step 0 of 2: start", "Step 1 of 2: go", "Step 2 of 2: use")
    ]
    # Without the script, the first moment and the last can be read, and no control is seen.
    bare, _, player = text.partition('<div class="stills">')[2].partition('<div class="player" ')
    assert player.startswith("hidden>")
    for words in ("Step 0 of 2: start", "grain 0", "Step 2 of 2: use", "grain 2"):
        assert words in Page(f"<div>{bare}").words
    scripts = [attributes for tag, attributes in found.tags if tag == "script"]
    assert scripts == [{"type": "application/json"}, {}]
    without = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    check_alone(Page(without), without)
    for forbidden in ("http", "fetch(", "import(", "eval(", "innerHTML", "$"):
        assert forbidden not in text
    for colour in set(re.findall(r"var\((--\w+)\)", text)):
        assert colour in ("--ground", "--ink", "--soft", "--line", "--band")


def test_nothing_in_a_recording_becomes_markup(tmp_path):
    evil = '</script><script>alert("1")</script><b>&amp;'
    held = recording(
        episode(2),
        legend=evil,
        names=[evil, evil],
        pictures=[["<b", evil], ["&a", evil], ["@D", evil]],
    )
    found, text = shown(tmp_path, held)
    assert evil not in text
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert data(text)["pictures"][0] == ["<b", evil]
    assert evil in found.words


STEP = """<script>
var slider = document.querySelector(".replay input"), button = document.querySelector("button");
slider.value = 1;
slider.dispatchEvent(new Event("input"));
document.body.setAttribute("data-first", document.querySelector(".player").innerText);
document.body.setAttribute("data-new", document.querySelectorAll(".player .new").length);
document.body.setAttribute("data-agent", document.querySelector(".player .agent").textContent);
button.click();
document.body.setAttribute("data-button", button.textContent);
setTimeout(function () {
  document.body.setAttribute("data-end", document.querySelector(".player").innerText);
}, 20000);
</script>"""


def browse(page, tmp_path, *flags):
    """What a browser makes of a page after half a minute of its own time."""
    (tmp_path / "page.html").write_text(
        f"<!doctype html><html><head><title>t</title></head><body>{page}</body></html>"
    )
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000"),
        *("--window-size=800,1200", f"--user-data-dir={tmp_path / 'browser'}", *flags),
        *("--dump-dom", f"file://{tmp_path / 'page.html'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return Page(done.stdout)


def body(found):
    return next(attributes for tag, attributes in found.tags if tag == "body")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_a_browser_plays_it(tmp_path):
    _, text = shown(tmp_path, recording(episode(2)))
    stepped = body(browse(text + STEP, tmp_path))
    assert "Step 1 of 2: go" in stepped["data-first"]
    assert (stepped["data-new"], stepped["data-agent"]) == ("2", "@")
    assert stepped["data-button"] == "Pause"
    assert "Step 2 of 2: use" in stepped["data-end"]
    assert "Play again" in stepped["data-end"]
    # It starts by itself once in view, unless the reader has asked for less motion.
    alone = browse(text, tmp_path)
    assert "Play again" in alone.words
    calm = browse(text, tmp_path, "--force-prefers-reduced-motion")
    assert "Play again" not in calm.words
    assert "hidden" in _of(calm, "stills")
    assert "hidden" not in _of(calm, "player")


def _of(found, name):
    return next(attributes for _, attributes in found.tags if attributes.get("class") == name)


def test_a_replay_says_what_each_step_changes(tmp_path):
    from powerseek.agents import train
    from powerseek.envs.task import Task
    from powerseek.registry import make_world

    task = Task(make_world("homestead", openness=1, hazard=0.0))
    held = record_episodes(train(task, "hoarder").policy, task, 1, exactly=True)
    _, text = shown(tmp_path, held)
    frames = data(text)["frames"]
    lines = [next(x for x in f[1].split("\n") if x.startswith("What it changes")) for f in frames]
    assert lines[0] == "What it changes (at 0.02 a unit): nothing yet"
    said = {line.split(": ")[1].split(",")[0] for line in lines[1:]}
    assert said <= {"free", "precaution", "harmful", "restraint", "hardly anything"}
    assert len(said) > 2
    assert any(re.search(r"[+-][\d.]+ units to come, success [+-]", line) for line in lines)


def test_a_real_recording_is_replayed(tmp_path):
    from powerseek.agents import train
    from powerseek.envs.task import Task
    from powerseek.registry import make_world

    task = Task(make_world("off-switch", max_steps=20))
    found, text = shown(tmp_path, record_episodes(train(task, "hoarder").policy, task, 1))
    held = data(text)
    assert len(held["frames"]) == 13  # A-B-I-G takes 12 steps
    assert held["agent"] == "@x"
    assert "The off-switch disabled: yes" in held["frames"][-1][1]
    assert "Outcome: success" in held["frames"][-1][1]
    squares = [tag for tag, attributes in found.tags if tag == "span"]
    assert len(squares) == 3 * 7 * 8  # first, last, and the one that moves
