"""An interrupted training that goes on ends as if it had never been interrupted, bit for bit."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from families import small_settings
from killing import environment
from worlds import Ladder

from powerseek.agents import Checkpoint, CheckpointIgnored, train
from powerseek.agents.checkpoint import ARRAYS, CARD, STATE
from powerseek.agents.sb3 import state as library
from powerseek.agents.sb3.families import FAMILIES
from powerseek.envs.task import Task

N, STEPS, SEED, UPDATES, CUT = 12, 10, 5, 4, 2
NETWORKS = "bytes/networks"
SIZES = {
    **{"n_envs": N, "n_steps": STEPS, "batch_size": 60, "n_epochs": 2, "net": [8]},
    **{"train_freq": STEPS, "buffer_size": 25 * N},  # full, and written anew, after the cut
}
SMALL = small_settings("maskable-ppo", **SIZES)
# One arm without books, one with memory, one with draws, one whose cap is bootstrapped.
ARMS = {
    "dense": ("dense", 1.0, "terminal"),
    "memory": ({"every": 4}, 1.0, "terminal"),
    "draws": ({"thinned": 0.5}, 1.0, "terminal"),
    "cut": ({"every": 4, "corrected": True}, 0.9, "bootstrap"),
}
MASKED = ("maskable-ppo", "cohort-ppo")
OTHERS = [id for id in FAMILIES if id not in MASKED]
CASES = [
    *zip(OTHERS, itertools.cycle(["memory", "cut", "draws"]), strict=False),
    *((agent, arm) for agent in MASKED for arm in ARMS),
]
masked = pytest.mark.parametrize("agent", MASKED)


class Interrupted(Exception):
    """Stands for whatever ends a process."""


def task(arm):
    reward, gamma, limit = ARMS[arm]
    return Task(Ladder(hazard=0.1, max_steps=7), reward, gamma, limit, windows=(3,))


def run(agent, arm, checkpoint=None, stop_at=None, **changed):
    """(weights, Adam's moments, what was seen at each update) of a training."""
    seen = []

    def look(now):
        seen.append([now.timesteps, now.updates, now.first_reward])
        if stop_at is not None and now.timesteps >= stop_at * N * STEPS:
            raise Interrupted

    small = small_settings(agent, **SIZES)
    given = {"seed": SEED, "timesteps": UPDATES * N * STEPS, "settings": small, **changed}
    done = train(task(arm), agent, callback=look, checkpoint=checkpoint, **given)
    # A cohort's optimiser is its own; had it lost its moments, the weights would tell.
    moments = done.model.policy.optimizer.state_dict()["state"]
    flat = [weight.flatten() for weight in done.model.policy.state_dict().values()]
    flat += [moment.flatten() for each in moments.values() for moment in each.values()]
    shown = [done.timesteps, done.updates, done.first_reward]
    return torch.cat(flat).numpy(), [*seen, shown]


def interrupted(folder, agent, arm, **changed):
    """The checkpoint of a training that was stopped before its CUT-th update was looked at."""
    kept = Checkpoint(folder / f"{agent}-{arm}.zip", every=0.0)
    with pytest.raises(Interrupted):
        run(agent, arm, kept, CUT, **changed)
    return kept


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """What another process makes of every interrupted training: {name: weights}, {name: seen}."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for case in CASES:
        interrupted(folder, *case)
    words = [sys.executable, "-W", "error", __file__, str(folder)]
    subprocess.run(words, check=True, timeout=300, env=environment())
    with np.load(folder / "weights.npz") as held:
        return dict(held), json.loads((folder / "seen.json").read_text())


@pytest.mark.parametrize(("agent", "arm"), CASES)
def test_another_process_goes_on_bit_for_bit(elsewhere, agent, arm):
    weights, seen = run(agent, arm)
    others, looks = elsewhere
    assert np.array_equal(others[f"{agent}-{arm}"], weights)
    # It looked at nothing twice, and at all that was left.
    assert looks[f"{agent}-{arm}"] == seen[CUT:]
    assert len(seen) == UPDATES + 2


@masked
@pytest.mark.parametrize("cut", [0, 1, UPDATES])
def test_any_update_will_do_and_generators_are_put_back(agent, cut, tmp_path):
    expected = run(agent, "draws")
    kept = Checkpoint(tmp_path / "a.zip", every=0.0)
    with pytest.raises(Interrupted):
        run(agent, "draws", kept, cut)
    assert kept.path.exists() == (cut > 0)
    for scramble in (torch.manual_seed, np.random.seed, random.seed):  # as the library
        scramble(99)
    weights, seen = run(agent, "draws", kept)
    assert np.array_equal(weights, expected[0])
    assert seen == expected[1][cut:]


@masked
def test_a_finished_training_is_handed_back_as_it_was(agent, tmp_path):
    kept = Checkpoint(tmp_path / "a.zip", every=0.0)
    weights, seen = run(agent, "dense", kept)
    again, looks = run(agent, "dense", kept)
    assert np.array_equal(again, weights)
    assert looks == seen[-1:]


@masked
def test_what_the_caller_keeps_comes_back_exactly(agent, tmp_path):
    ours = {"rows": [{"value": 0.1 + 0.2, "low": float("-inf"), "n": 3, "of": None}]}
    taken = []
    kept = Checkpoint(tmp_path / "a.zip", every=0.0, keep=lambda: ours, take=taken.append)
    run(agent, "dense", kept)
    assert taken == []
    run(agent, "dense", kept)
    assert taken == [ours]


@masked
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 6}, "seed"),
        ({"timesteps": 9 * N * STEPS}, "timesteps"),
        ({"settings": {**SMALL, "ent_coef": 0.5}}, "settings"),
    ],
)
def test_a_checkpoint_of_another_training_is_ignored(agent, changed, named, tmp_path):
    kept = interrupted(tmp_path, agent, "memory", **changed)
    with pytest.warns(CheckpointIgnored, match=rf"different: {named}\)"):
        weights, _ = run(agent, "memory", kept)
    assert np.array_equal(weights, run(agent, "memory")[0])


@masked
def test_one_of_another_arm_agent_or_caller_is_ignored(agent, tmp_path):
    kept = interrupted(tmp_path, agent, "memory")
    kept.every = 1e9
    for other, arm, about in (
        (agent, "draws", {}),
        ("ppo", "memory", {}),
        (agent, "memory", {"trial": "other"}),
    ):
        kept.about = about
        with pytest.warns(CheckpointIgnored, match=r"different: .*(about|agent|task)"):
            weights, _ = run(other, arm, kept)
        assert np.array_equal(weights, run(other, arm)[0])


def rewritten(path, name, content):
    """The same checkpoint with another part `name`."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for part, held in {**parts, name: content}.items():
            archive.writestr(part, held)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code of a checkpoint was run",))


def bombs():
    array = io.BytesIO()
    np.savez(array, **{"array/last_obs": np.array([Bomb()], object)})
    return {NETWORKS: pickle.dumps(Bomb(), protocol=2), ARRAYS: array.getvalue()}


@pytest.mark.parametrize(
    ("agent", "part"),
    [("maskable-ppo", NETWORKS), ("maskable-ppo", ARRAYS), ("cohort-ppo", ARRAYS)],
)
def test_nothing_in_a_checkpoint_is_executed(agent, part, tmp_path):
    kept = interrupted(tmp_path, agent, "memory")
    rewritten(kept.path, part, bombs()[part])
    with pytest.warns(CheckpointIgnored, match="cannot be (used|read)"):
        weights, _ = run(agent, "memory", kept)
    assert np.array_equal(weights, run(agent, "memory")[0])


HARMS = {
    "compressed": lambda path: compressed(path),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "counters": lambda path: edited(path, **{"counters/timesteps": "many"}),
    "a value for a mapping": lambda path: edited(path, envs=1),
    "weights of no number": lambda path: weightless(path),
}


def compressed(path):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def edited(path, **changed):
    with zipfile.ZipFile(path) as archive:
        state = json.loads(archive.read(STATE))
    rewritten(path, STATE, json.dumps(state | changed).encode())


def weightless(path):
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if NETWORKS in content:
        held = torch.load(io.BytesIO(content[NETWORKS]), weights_only=True)
        moment = held["optimizer"]["state"][0]
        moment["exp_avg"] = moment["exp_avg"] * np.nan
        file = io.BytesIO()
        torch.save(held, file)
        return rewritten(path, NETWORKS, file.getvalue())
    with np.load(io.BytesIO(content[ARRAYS])) as held:
        arrays = {name: a * np.nan if name == "array/mean" else a for name, a in held.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return rewritten(path, ARRAYS, file.getvalue())


@masked
@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_one_that_was_made_to_harm_is_ignored(agent, harm, tmp_path):
    kept = interrupted(tmp_path, agent, "memory")
    harm(kept.path)
    kept.every = 1e9
    with pytest.warns(CheckpointIgnored, match="cannot be (used|read)"):
        weights, _ = run(agent, "memory", kept)
    assert np.array_equal(weights, run(agent, "memory")[0])


@masked
def test_one_that_fails_half_way_leaves_no_trace(agent, tmp_path):
    kept = interrupted(tmp_path, agent, "memory")
    with zipfile.ZipFile(kept.path) as archive:
        state = json.loads(archive.read(STATE))
    last = {"maskable-ppo": "random_python", "cohort-ppo": "shuffling"}[agent]
    state = {name: value for name, value in state.items() if not name.startswith(last)}
    rewritten(kept.path, STATE, json.dumps(state).encode())
    with pytest.warns(CheckpointIgnored, match="cannot be used"):
        weights, seen = run(agent, "memory", kept)
    assert np.array_equal(weights, run(agent, "memory")[0])
    assert len(seen) == UPDATES + 2


@masked
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_checkpoint_is_ignored(agent, share, tmp_path):
    kept = interrupted(tmp_path, agent, "dense")
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole[: int(share * len(whole))])
    with pytest.warns(CheckpointIgnored, match="cannot be read"):
        assert kept.read({}) is None


@masked
def test_a_damaged_checkpoint_is_never_gone_on_from(agent, tmp_path):
    kept = interrupted(tmp_path, agent, "dense")
    whole = bytearray(kept.path.read_bytes())
    with zipfile.ZipFile(kept.path) as archive:
        card = json.loads(archive.read(CARD))
    of = {name: card[name] for name in card if name not in ("format", "versions", "about")}
    before = kept.read(of)
    assert before is not None
    kept.caution = lambda text: None
    generator = np.random.default_rng(0)
    for place in generator.integers(len(whole), size=60):
        damaged = whole.copy()
        damaged[place] ^= 1 << int(generator.integers(8))
        kept.path.write_bytes(damaged)
        # Some bytes of a zip mean nothing (dates, say): then all is whole.
        found = kept.read(of)
        assert found is None or pickle.dumps(found) == pickle.dumps(before)


@masked
def test_one_that_cannot_be_written_costs_only_a_caution(agent, tmp_path):
    (tmp_path / "file").write_text("")
    kept = Checkpoint(tmp_path / "file" / "a.zip", every=0.0)
    with pytest.warns(CheckpointIgnored, match="cannot be"):
        weights, _ = run(agent, "dense", kept)
    assert np.array_equal(weights, run(agent, "dense")[0])


@masked
def test_nothing_is_kept_before_it_is_due_nor_for_agents_that_do_not_learn(agent, tmp_path):
    kept = Checkpoint(tmp_path / "a.zip", every=1e6)
    run(agent, "dense", kept)
    train(task("dense"), "random", checkpoint=Checkpoint(tmp_path / "b.zip", every=0.0))
    assert list(tmp_path.iterdir()) == []


REPLAYS = {
    "the next one is nowhere": lambda path: edited(path, replay_next=10**9),
    "fewer transitions than it says": lambda path: without_last_row(path),
}


def without_last_row(path):
    with zipfile.ZipFile(path) as archive, np.load(io.BytesIO(archive.read(ARRAYS))) as held:
        arrays = {n: a[:-1] if n.startswith("array/replay/") else a for n, a in held.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    rewritten(path, ARRAYS, file.getvalue())


@pytest.mark.parametrize("harm", REPLAYS.values(), ids=REPLAYS)
def test_a_replay_buffer_that_was_edited_is_ignored(harm, tmp_path):
    kept = interrupted(tmp_path, "dqn", "memory")
    harm(kept.path)
    kept.every = 1e9
    with pytest.warns(CheckpointIgnored, match="cannot be used"):
        weights, _ = run("dqn", "memory", kept)
    assert np.array_equal(weights, run("dqn", "memory")[0])


def test_one_whose_replay_buffer_is_large_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "MAX_REPLAY", 1000)
    kept = Checkpoint(tmp_path / "a.zip", every=0.0)
    run("dqn", "memory", kept)
    assert not kept.path.exists()


def _go_on(folder):
    kept = {f"{agent}-{arm}": (agent, arm) for agent, arm in CASES}
    found = {
        name: run(agent, arm, Checkpoint(folder / f"{name}.zip", every=0.0))
        for name, (agent, arm) in kept.items()
    }
    np.savez(folder / "weights.npz", **{name: weights for name, (weights, _) in found.items()})
    (folder / "seen.json").write_text(json.dumps({name: seen for name, (_, seen) in found.items()}))


if __name__ == "__main__":
    _go_on(Path(sys.argv[1]))
