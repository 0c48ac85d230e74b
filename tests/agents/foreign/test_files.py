"""Models of other libraries from files: the same policies, and nothing in the files is run."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import warnings
import zipfile

import cloudpickle
import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

import powerseek
from powerseek.agents import save_agent, train
from powerseek.agents.foreign.files import is_foreign, load_foreign
from powerseek.agents.foreign.functions import situations
from powerseek.agents.foreign.illegal import acting
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput

RELU = {"policy_kwargs": {"activation_fn": nn.ReLU, "net_arch": [16, 16, 16]}}
SAVED = {
    "PPO": (PPO, {}),
    "A2C, other layers": (A2C, RELU),
    "two towers": (PPO, {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [32, 4]}}}),
    "no hidden layer": (PPO, {"policy_kwargs": {"net_arch": []}}),
    "MaskablePPO": (MaskablePPO, {}),
    "TRPO": (TRPO, {}),
    "DQN": (DQN, {}),
}


def env(**params):
    return gymnasium.make("powerseek/Homestead-v0", openness=0, **params)


@pytest.fixture(scope="module")
def task():
    return Task(powerseek.make_world("homestead", openness=0))


@pytest.fixture(scope="module")
def tried(task):
    return situations(task)


@pytest.fixture
def closed(monkeypatch):
    """Whoever opens a pickle fails."""

    def opens(*_, **__):
        raise AssertionError("a pickle was opened")

    for module in (pickle, cloudpickle):
        monkeypatch.setattr(module, "loads", opens)
        monkeypatch.setattr(module, "load", opens)


@pytest.mark.parametrize(("algorithm", "settings"), SAVED.values(), ids=SAVED)
def test_a_saved_model_acts_as_the_library_says(algorithm, settings, task, tried, tmp_path, closed):
    model = algorithm("MlpPolicy", DummyVecEnv([env]), seed=1, device="cpu", **settings)
    model.save(tmp_path / "model")
    path = tmp_path / "model.zip"
    assert is_foreign(path)
    policy = load_foreign(path, task)
    found, seen = policy.probabilities(tried), torch.tensor(tried.observations)
    if algorithm is DQN:
        best = model.q_net(seen).detach().numpy().argmax(axis=1)
        np.testing.assert_array_equal(found, np.eye(task.n_actions)[best])
        return
    masks = {"action_masks": tried.masks} if algorithm is MaskablePPO else {}
    expected = model.policy.get_distribution(seen, **masks).distribution.probs.detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found[~tried.masks] > 0).all() != (algorithm is MaskablePPO)
    assert acting(policy) is policy


def refusal(path, task):
    with pytest.raises(InvalidInput) as refused:
        load_foreign(path, task)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The parts of a model of the library, by name."""
    path = tmp_path_factory.mktemp("saved") / "model.zip"
    PPO("MlpPolicy", env(), seed=1, device="cpu").save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_a_strangers_zip_would_run_is_not_run(saved, task, tried, tmp_path):
    came = tmp_path / "came"
    about = json.loads(saved["data"])
    evil = cloudpickle.dumps(Evil(came))
    about["policy_class"][":serialized:"] = base64.b64encode(evil).decode()
    path = written(tmp_path / "a.zip", {**saved, "data": json.dumps(about)})
    assert load_foreign(path, task).probabilities(tried).shape == tried.masks.shape
    file = io.BytesIO()
    torch.save(Evil(came), file)
    refusal(written(tmp_path / "b.zip", {**saved, "policy.pth": file.getvalue()}), task)
    torch.save(Evil(came), tmp_path / "c.pt")
    assert "more than plain layers" in refusal(tmp_path / "c.pt", task)
    assert not came.exists()


def test_damaged_and_disguised_zips_are_refused(saved, task, tmp_path):
    packed = written(tmp_path / "a.zip", saved, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refusal(packed, task)
    without = {name: part for name, part in saved.items() if name != "data"}
    refusal(written(tmp_path / "b.zip", without), task)
    refusal(written(tmp_path / "c.zip", {**saved, "data": "[]"}), task)
    refusal(written(tmp_path / "d.zip", {**saved, "policy.pth": b"none"}), task)
    tensors = torch.load(io.BytesIO(saved["policy.pth"]), weights_only=True)
    tensors["action_net.weight"][0, 0] = torch.nan
    file = io.BytesIO()
    torch.save(tensors, file)
    broken = written(tmp_path / "e.zip", {**saved, "policy.pth": file.getvalue()})
    assert "not all numbers" in refusal(broken, task)


def test_models_that_see_or_remember_more_are_refused(task, tmp_path):
    normal = VecNormalize(DummyVecEnv([env]))
    PPO("MlpPolicy", normal, n_steps=32, batch_size=32, device="cpu").learn(32).save(tmp_path / "n")
    assert "VecNormalize" in refusal(tmp_path / "n.zip", task)
    RecurrentPPO("MlpLstmPolicy", env(), device="cpu").save(tmp_path / "r")
    assert "file.py:model" in refusal(tmp_path / "r.zip", task)
    own = {"activation_fn": nn.PReLU}
    PPO("MlpPolicy", env(), device="cpu", policy_kwargs=own).save(tmp_path / "p")
    assert "file.py:model" in refusal(tmp_path / "p.zip", task)


def test_sizes_are_named_with_the_parameter_that_makes_it_fit(saved, tmp_path):
    path = written(tmp_path / "a.zip", saved)
    every = Task(powerseek.make_world("homestead", openness=0), {"every": 2})
    size = every.observation_size
    said = refusal(path, every)
    assert f"of {size} observations, as homestead has here, not of {size - 1}" in said
    assert "--reward" in said
    home = powerseek.make_world("homestead", openness=2)
    PPO("MlpPolicy", gymnasium.make("powerseek/Homestead-v0", openness=1), device="cpu").save(path)
    assert "write --set openness=1" in refusal(path, Task(home))
    fewer = tmp_path / "net.pt"
    torch.save(nn.Sequential(nn.Linear(every.observation_size, 2)), fewer)
    assert f"of {every.n_actions} actions, as homestead has here, not of 2" in refusal(fewer, every)


def network(task, *last):
    inputs, actions = np.int64(task.observation_size), np.int64(task.n_actions)
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(), nn.LeakyReLU(0.3))
    return nn.Sequential(
        nn.Linear(inputs, 8), nn.Tanh(), hidden, nn.Dropout(0.5), nn.Linear(8, actions), *last
    ).eval()


@pytest.mark.parametrize("last", [(), (nn.Softmax(-1),), (nn.LogSoftmax(-1),)], ids=len)
def test_a_saved_network_acts_as_it_did(last, task, tried, tmp_path):
    made = network(task, *last)
    torch.save(made, tmp_path / "net.pt")
    assert is_foreign(tmp_path / "net.pt")
    given = made(torch.tensor(tried.observations)).detach()
    expected = given if last and isinstance(last[0], nn.Softmax) else given.softmax(1)
    found = load_foreign(tmp_path / "net.pt", task).probabilities(tried)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def scripted(made, task, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(made, torch.zeros(2, task.observation_size)).save(path)


def exported(made, task, path):
    shapes = ({0: torch.export.Dim.AUTO},)
    example = (torch.zeros(5, task.observation_size),)
    torch.export.save(torch.export.export(made, example, dynamic_shapes=shapes), path)


class Own(nn.Module):
    def forward(self, seen):
        return seen


def test_networks_that_are_code_are_refused_with_the_line_to_write(task, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(Own(), path)
    assert "powerseek evaluate file.py:net" in refusal(path, task)
    torch.save(nn.Sequential(nn.Conv1d(1, 1, 1)), path)
    assert "more than plain layers" in refusal(path, task)
    torch.save(network(task).state_dict(), path)
    assert "no nn.Sequential, whole" in refusal(path, task)
    for save in (scripted, exported):
        save(network(task), task, path)
        assert "torch.jit.load(path), or torch.export.load(path)" in refusal(path, task)
    torch.save(nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6)), path)
    assert "do not fit each other" in refusal(path, task)
    torch.save(nn.Sequential(nn.Tanh()), path)
    assert "no linear layer" in refusal(path, task)


def test_networks_that_would_fill_the_memory_or_never_end_are_refused(task, tmp_path):
    path = tmp_path / "net.pt"
    large = nn.Sequential(nn.Linear(1, 1))
    large[0].weight = nn.Parameter(torch.zeros(1, 1).expand(10**6, 10**6))
    torch.save(large, path)
    assert "fewer weights than it says" in refusal(path, task)
    itself = nn.Sequential(nn.Linear(2, 2))
    for i in range(50):
        itself._modules[f"again{i}"] = itself
    torch.save(itself, path)
    assert "twice" in refusal(path, task)
    torch.save(nn.Sequential(nn.Linear(2, 2), nn.Softmax(-1), nn.Linear(2, 2)), path)
    assert "a layer Softmax" in refusal(path, task)


def test_of_a_saved_network_nothing_but_weights_is_used(task, tried, tmp_path):
    made = network(task)
    plain = tmp_path / "plain.pt"
    torch.save(made, plain)
    made[0].forward = nn.Identity  # what may be loaded may still be in another's place
    made[0].__dict__["eps"] = made[0].__dict__["extra"] = [nn.Linear]
    torch.save(made, tmp_path / "net.pt")
    expected = load_foreign(plain, task).probabilities(tried)
    found = load_foreign(tmp_path / "net.pt", task).probabilities(tried)
    np.testing.assert_array_equal(found, expected)


FILE = """
import numpy as np
import torch
from helper import WHICH

def function(observations, masks):
    return np.eye(masks.shape[-1])[masks.argmax(axis=-1)]

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear({inputs}, {actions})
    def forward(self, seen):
        return self.last(seen)

net = Net()
scripted = torch.jit.load("{folder}/scripted.pt")
exported = torch.export.load("{folder}/exported.pt2").module()
number = WHICH
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_file_is_run_where_the_user_names_it(task, tried, tmp_path):
    (tmp_path / "helper.py").write_text("WHICH = 3\n")
    file = tmp_path / "mine.py"
    made = network(task)
    scripted(made, task, tmp_path / "scripted.pt")
    exported(made, task, tmp_path / "exported.pt2")
    sizes = {"inputs": task.observation_size, "actions": task.n_actions}
    file.write_text(FILE.format(**sizes, folder=tmp_path))
    with pytest.raises(InvalidInput, match=r"file\.py:NAME"):
        is_foreign(file)
    chosen = load_foreign(f"{file}:function", task).probabilities(tried)
    np.testing.assert_array_equal(chosen.argmax(axis=1), tried.masks.argmax(axis=1))
    assert load_foreign(f"{file}:net", task).probabilities(tried).shape == tried.masks.shape
    expected = made(torch.tensor(tried.observations)).softmax(1).detach().numpy()
    for name in ("scripted", "exported"):
        found = load_foreign(f"{file}:{name}", task).probabilities(tried)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "a function, a PyTorch module" in refusal(f"{file}:number", task)
    assert "a name in" in refusal(f"{file}:nothing", task)
    assert "not its class" in refusal(f"{file}:Net", task)
    assert "a file that is there" in refusal(f"{tmp_path}/none.py:net", task)
    file.write_text("1 // 0")
    assert "ZeroDivisionError" in refusal(f"{file}:net", task)


def test_models_of_our_own_are_no_foreign_ones(task, tmp_path):
    small = {"n_envs": 2, "n_steps": 16, "batch_size": 32, "n_epochs": 1, "net": [8]}
    path = save_agent(train(task, "ppo", timesteps=1, settings=small), task, tmp_path / "a.zip")
    assert not is_foreign(path)
    for name in ("none.zip", "."):
        assert not is_foreign(tmp_path / name)
