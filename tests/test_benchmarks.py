"""The benchmark's own parts: equal answers or no speed, its table, its page. Nothing is timed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from benchmarks.peers import environment, solving, table, training
from benchmarks.peers.sides import Broken, Comparison, Running, Side
from benchmarks.peers.torch_ppo import train
from powerseek.agents import settings_for
from powerseek.errors import InvalidInput
from powerseek.exact import TabularMDP, need, solve

# Two states; from the first, action 0 wins half the time for nothing, action 1 surely for 3 units.
SHOP = TabularMDP.from_transitions(
    {"shop": [{"won": 0.5, "lost": 0.5}, {"won": 1.0}]},
    facts={"success": {"won": 1}},
    flows={"acquired": {("shop", 1): 3.0}},
    terminal=["won", "lost"],
    max_steps=2,
)
COMPARED = Comparison("values", {}, tolerance=1e-6, apart=solving.apart)


# --- equal answers, or no speed -------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ([1.0, 2.0], ""),
        ([1.0, 2.0 + 9e-7], ""),
        ([1.0, 2.00001], "no speed: its answer is 1.0e-05 from ours"),
        ([1.0, float("nan")], "no speed: its answer is nan from ours"),
        ([1.0], "no speed: its answer is inf from ours"),
    ],
)
def test_a_speed_without_an_equal_answer_is_not_told(theirs, told):
    ours = {"seconds": 1.0, "answer": [1.0, 2.0]}
    assert table.unequal(COMPARED, ours, {"seconds": 2.0, "answer": theirs}) == told


def test_training_has_no_answer_to_compare():
    found = {"seconds": 1.0, "steps": 10, "competence": 0.5}
    assert table.unequal(Comparison("ppo", {}), found, found) == ""


@pytest.mark.parametrize(
    ("corners", "off"),
    [
        ([[0.5, 0.0], [1.0, 3.0]], 0.0),
        ([[0.5, 0.0], [0.75, 1.5], [1.0, 3.0]], 0.0),  # on the edge, no corner of ours
        ([[0.5, 0.0], [0.75, 1.6], [1.0, 3.0]], 0.1),
        ([[0.5, 0.0], [0.75, 1.5]], 1.5),  # stops too early
        ([[0.75, 1.5], [1.0, 3.0]], 1.5),  # starts too late
    ],
)
def test_corners_of_a_frontier_lie_on_ours(corners, off):
    ours = sorted(need(SHOP, gap=1e-9).vertices)
    assert solving.off_frontier(ours, corners) == pytest.approx(off, abs=1e-9)


def test_pairs_of_an_mdp_are_rows_that_sum_to_one_and_ends_keep_themselves():
    states, actions, transitions = solving._pairs(SHOP)
    assert states.tolist() == [0, 0, 1, 2]
    assert actions.tolist() == [0, 1, 0, 0]
    expected = [[0, 0.5, 0.5], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert transitions.toarray().tolist() == expected


def test_an_mdp_in_the_format_of_storm():
    lines = solving.drn(SHOP).split("@model\n")
    assert "@nr_states\n4\n@nr_choices\n5\n" in lines[0]
    assert lines[1].replace("\t", "").splitlines() == [
        *("state 0 init", "action 0 [0.0]", "1 : 1.0"),
        *("state 1", "action 0 [0.0]", "2 : 0.5", "3 : 0.5", "action 1 [3.0]", "2 : 1.0"),
        *("state 2 success", "action 0 [0.0]", "2 : 1.0"),
        *("state 3", "action 0 [0.0]", "3 : 1.0"),
    ]


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # pymdptoolbox's own
@pytest.mark.parametrize(
    ("library", "prepare"),
    [
        ("quantecon", partial(solving.quantecon, method="policy_iteration")),
        ("quantecon", partial(solving.quantecon, method="modified_policy_iteration")),
        ("highspy", solving.highs),
        ("mdptoolbox", solving.toolbox),
    ],
)
def test_peers_that_are_there_answer_as_we_do(library, prepare):
    pytest.importorskip(library, reason="make bench installs it, in an environment of its own")
    ours, theirs = solving.ours(lambda: SHOP)(3), prepare(lambda: SHOP)(3)
    assert table.unequal(COMPARED, ours, theirs) == ""


# --- sides ----------------------------------------------------------------------------------


def test_a_side_in_a_process_of_its_own_solves_the_reward_of_its_turn():
    mdp = solving._graph("random")
    reward = np.random.default_rng(1).random((64, mdp.n_states))[2]
    with Running("random:powerseek") as running:
        running.ready()
        found = running.measure(2)
    assert found["seconds"] > 0
    assert found["answer"] == solve(mdp, reward, solving.GAMMA).values[:, 0].tolist()


def test_a_side_that_breaks_says_its_last_words():
    told = pytest.raises(Broken, match=r"nobody broke: .*choose")
    with Running("random:nobody") as running, told:
        running.ready()


def test_a_peer_that_is_not_there_is_a_line_and_ends_nothing(monkeypatch):
    sides = {
        "powerseek": table.COMPARISONS["random"].sides["powerseek"],
        "nobody": Side("Nobody", "no-such-library", lambda: None),
        "broken": Side("Broken", "numpy", lambda: None),
    }
    monkeypatch.setitem(table.COMPARISONS, "random", Comparison("values", sides))
    nobody, broken = table.rows("random", 1, lambda told: None)
    assert nobody.note == "not installed: run make bench"
    assert broken.note.startswith("random:broken broke: ")
    assert broken.version == np.__version__
    assert "| Nobody |  |  |  |  | not installed: run make bench |" in table.markdown(
        [nobody, broken], {}
    )


def test_every_side_is_of_a_pinned_library_or_of_our_own():
    pinned = environment.pinned(environment.PEERS.read_text())
    own = {"powerseek", "torch", "stable-baselines3", "sb3-contrib", "gymnasium"}
    used = {side.library for one in table.COMPARISONS.values() for side in one.sides.values()}
    assert used - own <= set(pinned)
    assert {"jax", "highspy", "quantecon", "stormpy", "sbx-rl"} <= used


def test_the_loop_in_pytorch_learns_whole_updates():
    small = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "net": [8]}
    logits, taken = train(training.ID, settings_for("homestead", small), 0, 33)
    assert taken == 64
    task = training.task()
    given = logits(np.zeros((3, task.observation_size), np.float32))
    assert given.shape == (3, task.n_actions)
    assert np.isfinite(given).all()


# --- the environment ------------------------------------------------------------------------


def test_pins_are_read_line_by_line():
    assert environment.pinned("# told\n\na==1.2\nb-c==3  # why\n") == {"a": "1.2", "b-c": "3"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (["Collecting a", "ERROR: No matching distribution"], "No matching distribution"),
        (
            ["The conflict is caused by:", "    a needs b<2", "    we have b 3", "", "To fix this"],
            "a needs b<2; we have b 3",
        ),
        (["killed"], "killed"),
        ([], "pip said nothing"),
    ],
)
def test_why_a_peer_is_not_installed_is_one_line(said, reason):
    assert environment.reason(said) == reason


# --- the table ------------------------------------------------------------------------------


def _found(seconds, **more):
    return {"seconds": seconds, **more}


def test_a_line_holds_medians_and_the_range_of_ratios():
    ours = tuple(_found(s, answer=[0]) for s in (0.001, 0.001, 0.002))
    theirs = tuple(_found(s, answer=[0]) for s in (0.02, 0.05, 0.02))
    row = table.Row("values", "Peer", "1.0", ours, theirs)
    assert "| values | Peer | 1.0 | 20 ms | 1 ms | 20 x (10 to 50) | equal |" in table.markdown(
        [row], {"Processor": "P"}
    )


def test_a_line_of_training_holds_speeds_and_competence():
    ours = (_found(2.0, steps=1_000_000, competence=0.9),)
    theirs = (_found(5.0, steps=100_000, competence=0.8),)
    lines = table.markdown([table.Row("ppo", "Peer", "1", ours, theirs)], {}).splitlines()
    expected = "| ppo | Peer | 1 | 20,000 steps/s | 500,000 steps/s | 25 x |"
    assert lines[-1] == f"{expected} competence 0.80, ours 0.90 |"


def test_a_task_is_named_once():
    row = table.Row("values", "A", note="broke: a | b")
    lines = table.markdown([row, row], {}).splitlines()
    assert lines[-2] == "| values | A |  |  |  |  | broke: a / b |"
    assert lines[-1].startswith("|  | A |")


def test_the_machine_is_named(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: AMD EPYC\ncpu family\t: 26\nmodel\t: 2\nflags\t: avx2 avx512f\n")
    assert table.processor(path) == "AMD EPYC (family 26 model 2, AVX-512)"
    told = table.machine((0.1, 0.2, 0.3))
    assert told["Load before"].startswith("0.1, 0.2, 0.3")
    assert "Python 3." in told["Versions"]


def test_a_page_gets_the_table_in_the_place_of_the_last_one():
    page = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    once = table.replaced(page, "| new |")
    assert once == f"before\n{table.BEGIN}\n| new |\n{table.END}\nafter\n"
    assert table.replaced(once, "| new |") == once


@pytest.mark.parametrize(
    "page",
    [
        "no markers",
        f"{table.BEGIN} alone",
        f"{table.END} before {table.BEGIN}",
        f"{table.BEGIN} {table.END} {table.BEGIN} {table.END}",
    ],
)
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(InvalidInput, match="--write"):
        table.replaced(page, "")


def test_the_page_of_the_project_has_its_markers():
    page = (environment.CONSTRAINTS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert table.replaced(page, "new").count("new") >= 1
