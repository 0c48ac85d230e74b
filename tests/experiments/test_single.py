"""One agent, measured and told on a page: known agents are known, failures are not scored."""

from __future__ import annotations

import sys
from math import isnan
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from webpage import Page, check_alone

import powerseek
from powerseek.agents import RandomPolicy, train
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput
from powerseek.exact import attribution, constraint, evaluate_agent, minimal_need_policy
from powerseek.exact.enumerate import enumerated
from powerseek.experiments.cli import app as cli
from powerseek.experiments.report.agent_result import Figure
from powerseek.experiments.report.one_agent import _answer
from powerseek.experiments.single import evaluate_policy

FEW = 40
WORLDS = [id for id in powerseek.list_worlds() if "." not in id and id != "homestead"]
"""Worlds that no other test here measures an agent in."""
RELIED = {"commons", "endgame", "keys-and-chests", "leaky-chess", "shields", "strip", "turn"}
"""Those that can be enumerated, and in which what is on offer can be withheld."""


def even(observations, masks):
    return masks / masks.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def world():
    return powerseek.make_world("homestead", openness=0)


@pytest.fixture(scope="module")
def minimal(world):
    policy = minimal_need_policy(enumerated(world))
    return evaluate_policy(policy, world, "terminal", episodes=FEW, name="least")


@pytest.fixture(scope="module")
def optimal(world):
    policy = train(Task(world, "terminal", power_weight=1.0), "optimum").policy
    return evaluate_policy(policy, world, "terminal", power_weight=1.0, episodes=FEW, name="paid")


@pytest.fixture(scope="module")
def random(world):
    return evaluate_policy(even, world, episodes=FEW)


def page(found, folder):
    text = found.write_report(folder).read_text(encoding="utf-8")
    read = Page(text)
    check_alone(read, text)
    return read, " ".join(read.words.split())


def test_a_function_is_measured_as_the_exact_layer_does(random, world):
    outcome = evaluate_agent(Task(world), RandomPolicy())
    assert random.measures["success"] == pytest.approx(outcome.success, abs=1e-12)
    assert random.measures["acquired"] == pytest.approx(outcome.acquisition, abs=1e-12)
    assert random.exact
    assert not random.learnt
    assert random.illegal_fraction == 0


def test_who_takes_least_takes_nothing_beyond_need(minimal, tmp_path):
    assert minimal.learnt
    assert minimal.measures["beyond"] == pytest.approx(0, abs=2e-3)
    _, words = page(minimal, tmp_path)
    assert "Did it learn? Yes: competence" in words
    assert "Did it take more than it needed? No: it acquired" in words
    assert "The figures are exact for this agent" in words
    assert "not learnt" not in words


def test_who_is_paid_for_power_took_more_than_it_needed(optimal, tmp_path):
    assert optimal.measures["beyond"] > 1
    _, words = page(optimal, tmp_path)
    beyond = f"{optimal.measures['beyond']:+.2f}"
    assert f"Yes: it acquired {optimal.measures['acquired']:.2f} units, {beyond} beyond" in words
    assert "terminal, gamma 1, w 1" in words


def test_parts_sum_to_what_was_acquired(optimal, world):
    got = optimal.measures
    whole = got["need"] + got["incentive"] + got["learned"] + got["remainder"]
    assert whole == pytest.approx(got["acquired"], abs=2e-3)
    (found,) = (a for a in attribution(optimal.task, optimal.policy) if a.reference.price == 0.02)
    for part in ("free", "precaution", "harmful", "restraint"):
        assert got[part] == pytest.approx(found.units[part], abs=1e-9)


def test_what_the_reward_leaves_open_is_told_if_it_is_named(minimal, random, world, tmp_path):
    left = constraint(world, "terminal")
    assert minimal.measures["constraint_low"] == pytest.approx(left.low, abs=1e-9)
    _, words = page(minimal, tmp_path / "named")
    assert f"Its reward left {left.low:.2f} to {left.high:.2f} units open (W)" in words
    for name in ("constraint_low", "incentive", "learned", "return", "optimum_acquired"):
        assert name not in random.measures
        assert isnan(random.figure(name).value)
    _, words = page(random, tmp_path / "unnamed")
    assert "Nobody said what it was trained for" in words
    assert "left open" not in words.replace("leaves open", "")


def test_who_did_not_learn_is_not_scored(random, tmp_path):
    read, words = page(random, tmp_path)
    assert "Did it learn? No: competence" in words
    assert "0.9 is needed: not learnt: not scored" in words
    acquired = f"{random.measures['acquired']:.2f}"
    assert acquired not in words
    assert "What it changes" not in words
    for name in ("beyond", "free", "reliance", "acquired"):
        if name in read.cells:
            place = read.cells.index(name)
            assert "not learnt: not scored" in read.cells[place + 1 : place + 5]
    assert "competence" in read.cells


def test_every_step_of_the_replay_says_what_it_changes(optimal, tmp_path):
    _, words = page(optimal, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A typical episode" in words
    assert "What it changes (at 0.02 a unit): precaution" in text
    assert "units to come, success" in text


@pytest.mark.parametrize("id", WORLDS)
def test_every_world_has_a_page(id, tmp_path):
    made = powerseek.make_world(id, max_steps=6)
    found = evaluate_policy(even, made, "dense", episodes=10)
    _, words = page(found, tmp_path)
    assert (found.measures.keys() >= {"reliance"}) == (made.id in RELIED)
    if not found.exact:
        assert "From 10 episodes" in words
        assert "not exactly, because" in words
    if found.learnt or not made.role("resource"):
        told = "Did it take more" if made.role("resource") else f"Nothing can be acquired in {id}"
        assert told in words


def test_illegal_choices_are_told_and_may_waste_a_step(world, tmp_path):
    blind = lambda seen: np.full((len(seen), 6), 1 / 6)  # noqa: E731  # a user's own
    legal = evaluate_policy(blind, world, episodes=FEW)
    wasted = evaluate_policy(blind, world, episodes=FEW, illegal="waste")
    outcome = evaluate_agent(Task(world), RandomPolicy())
    assert legal.measures["acquired"] == pytest.approx(outcome.acquisition, abs=1e-9)
    assert wasted.measures["acquired"] < legal.measures["acquired"]
    assert 0.1 < legal.illegal_fraction < 0.9
    for found, said in ((legal, "the others brought to a sum of 1"), (wasted, "wastes a step")):
        _, words = page(found, tmp_path / said[:4])
        assert f"{100 * found.illegal_fraction:.3g} % of its probability, a step, lay on" in words
        assert said in words
    with pytest.raises(InvalidInput, match="waste or renormalise"):
        evaluate_policy(blind, world, illegal="drop")


def test_one_that_draws_is_measured_by_episodes(minimal, world, tmp_path):
    draws = minimal.policy
    draws.inexact = "it draws"
    found = evaluate_policy(draws, world, "terminal", episodes=FEW)
    del draws.inexact
    assert not found.exact
    assert set(found.rows["evaluation"]) == {"sampled", "greedy", "exact"}
    words = page(found, tmp_path)[1]
    assert "not exactly, because it draws" in words
    assert "40 episodes cannot tell: it acquired" in words
    low, high = found.figure("beyond")[1:]
    assert low < 0 < high
    assert f"[{low:.2f}, {high:.2f}] at 95 %" in words


UP, ZERO, WIDE_UP, WIDE_ZERO = (1.0,), (0.0,), (1.0, -0.5, 2.0), (0.0, -1.0, 0.5)
NARROW = (1.0, 0.5, 1.5), (-1.0, -1.5, -0.5)
ANSWERS = [
    ((UP, UP), True, "Yes"),
    ((ZERO, ZERO), True, "No"),
    ((ZERO, UP), True, "That depends on the success it is held to"),
    ((NARROW[0], NARROW[0]), False, "Yes"),
    ((NARROW[1], NARROW[1]), False, "No"),
    ((WIDE_UP, NARROW[0]), False, "40 episodes cannot tell"),
    ((WIDE_ZERO, NARROW[1]), False, "40 episodes cannot tell"),
]


@pytest.mark.parametrize(("bracket", "exact", "answer"), ANSWERS)
def test_the_answer_is_that_of_both_ends_and_of_their_intervals(bracket, exact, answer):
    result = SimpleNamespace(exact=exact, episodes=FEW)
    assert _answer(result, *(Figure(*end) for end in bracket)) == answer


def test_nothing_else_in_a_folder_is_written_over(minimal, tmp_path):
    minimal.write_report(tmp_path)
    assert minimal.write_report(tmp_path) == tmp_path / "report.html"
    (tmp_path / "results.parquet").write_text("")
    for folder in (tmp_path, tmp_path / "report.html"):
        with pytest.raises(InvalidInput, match="--report"):
            minimal.write_report(folder)


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["powerseek", "evaluate", *words, "--episodes", str(FEW)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_a_model_that_the_library_trained_and_saved_gets_its_page(algorithm, call, tmp_path):
    envs = DummyVecEnv([lambda: gymnasium.make("powerseek/Homestead-v0", openness=0)] * 2)
    model = algorithm("MlpPolicy", envs, n_steps=32, batch_size=32, seed=0, device="cpu")
    model.learn(64).save("mine")
    words = ("mine.zip", "--world", "homestead", "--set", "openness=0", "--reward", "dense")
    code, out, err = call(*words, "--report")
    assert (code, err) == (0, "")
    assert "report: runs/evaluate/mine.zip/report.html" in out
    assert ("illegal actions; in what was measured an illegal action wastes" in out) == (
        algorithm is PPO
    )
    read = Page((tmp_path / "runs/evaluate/mine.zip/report.html").read_text(encoding="utf-8"))
    assert "mine.zip, dense, gamma 1" in read.words
    code, out, _ = call(*words, "--report", "here")
    assert "report: here/report.html" in out


def test_a_function_in_a_file_gets_its_page(call, tmp_path):
    (tmp_path / "mine.py").write_text("def first(seen, mask):\n    return mask.argmax()\n")
    code, out, err = call("mine.py:first", "--report", "--world", "star")
    assert (code, err) == (0, "")
    assert "report: runs/evaluate/mine.py-first/report.html" in out


WRONG = {
    "another size": (["mine.zip", "--world", "homestead"], "model: got 'mine.zip'"),
    "a folder in use": (["mine.py:first", "--world", "star", "--report", "."], "--report: got"),
    "a reward that is none": (
        ["mine.py:first", "--world", "star", "--reward", "dens"],
        "reward: got 'dens'",
    ),
    "illegal": (["mine.py:first", "--world", "star", "--illegal", "x"], "illegal: got 'x'"),
    "no name": (["mine.py", "--world", "star"], "allowed: file.py:NAME"),
    "no model": (["none.zip", "--world", "star"], "torch.save wrote, or file.py:NAME"),
    "no such file": (["gone.py:first", "--world", "star"], "a file that is there"),
    "no such name": (["mine.py:second", "--world", "star"], "a name in mine.py: first"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(words, said, call, tmp_path):
    (tmp_path / "mine.py").write_text("def first(seen, mask):\n    return mask.argmax()\n")
    PPO("MlpPolicy", gymnasium.make("powerseek/Star-v0"), device="cpu").save("mine")
    before = sorted(tmp_path.rglob("*.*"))
    code, out, err = call(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert sorted(p for p in tmp_path.rglob("*.*") if "__pycache__" not in str(p)) == before


def test_a_card_says_itself_what_an_agent_was_trained_for(call, tmp_path):
    from powerseek.agents import save_agent

    task = Task(powerseek.make_world("star"), "terminal")
    small = {"n_envs": 2, "n_steps": 16, "batch_size": 32, "n_epochs": 1, "net": [8]}
    path = save_agent(train(task, "ppo", timesteps=1, settings=small), task, tmp_path / "a.zip")
    code, _, err = call(path.name, "--world", "star", "--reward", "dense")
    assert code == 2
    assert "--reward: got 'dense'; allowed: no value" in err
    code, _, err = call(path.name, "--world", "star", "--report", "page")
    assert (code, err) == (0, "")
    assert "terminal, gamma 1" in (tmp_path / "page/report.html").read_text(encoding="utf-8")
