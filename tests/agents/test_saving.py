"""Saved agents that are damaged, edited or made to harm: one line each, and nothing is unpacked."""

import bz2
import errno
import io
import json
import os
import stat
import sys
import zipfile

import numpy as np
import pytest
import torch

import powerseek
from powerseek.agents import Agent, load_agent, save_agent, task_of, train
from powerseek.agents.archive import read_arrays
from powerseek.agents.saving import CARD, MAX_CARD, WEIGHTS, read_card
from powerseek.envs.task import Task
from powerseek.errors import InvalidInput, PowerseekError
from powerseek.experiments.cli import app as cli
from powerseek.experiments.results.files import DiskFull
from powerseek.experiments.single import evaluate_one
from powerseek.experiments.sweep.trial import keep_model
from powerseek.registry import agents

SMALL = {"n_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1, "net": [8]}
NETWORK = "policy.pth"


@pytest.fixture(scope="module")
def task():
    return Task(powerseek.make_world("star"))


@pytest.fixture(scope="module")
def model(task, tmp_path_factory):
    """The parts of a saved network, by name."""
    trained = train(task, "cohort-ppo", timesteps=1, settings=SMALL)
    path = save_agent(trained, task, tmp_path_factory.mktemp("model") / "a.zip")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def compressed(content):
    """The same zip with its parts compressed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return zipped(parts, zipfile.ZIP_DEFLATED)


def encrypted(parts):
    """All parts flagged as encrypted, in both of the places where a zip says so."""
    content = bytearray(zipped(parts))
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        place = content.find(mark)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(mark, place + 1)
    return bytes(content)


def unknown_method(parts):
    return zipped(parts).replace(b"PK\1\2\x14\3\x14\0\0\0\0\0", b"PK\1\2\x14\3\x14\0\0\0\x63\0")


def renamed(parts, name):
    return zipped({**parts, name: b""})


def link(parts):
    file = io.BytesIO(zipped(parts))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def twice(parts):
    file = io.BytesIO(zipped(parts))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(CARD, parts[CARD])
    return file.getvalue()


def overlapping(parts):
    """A thousand entries in the directory that all lie in the same bytes."""
    file = io.BytesIO(zipped(parts))
    with zipfile.ZipFile(file, "a") as archive:
        (info,) = [info for info in archive.infolist() if info.filename == NETWORK]
        for i in range(1000):
            other = zipfile.ZipInfo(f"part-{i}")
            for name in ("header_offset", "CRC", "file_size", "compress_size"):
                setattr(other, name, getattr(info, name))
            archive.filelist.append(other)
        archive._didModify = True
    return file.getvalue()


def with_network(parts, change):
    """Another network in place of the saved one."""
    held = torch.load(io.BytesIO(parts[NETWORK]), weights_only=True)
    file = io.BytesIO()
    torch.save(change(held), file)
    return zipped({**parts, NETWORK: file.getvalue()})


def first_changed(change):
    def changed(held):
        name = next(iter(held))
        return {**held, name: change(held[name])}

    return changed


def carded(parts, **changed):
    return zipped({**parts, CARD: json.dumps(json.loads(parts[CARD]) | changed)})


ARCHIVES = {
    "bomb": (lambda m: zipped({**m, NETWORK: bytes(2**24)}, zipfile.ZIP_DEFLATED), "is compressed"),
    "bomb within": (
        lambda m: zipped({**m, NETWORK: compressed(m[NETWORK])}),
        "is compressed",
    ),
    "larger than declared": (lambda m: zipped({**m, NETWORK: bytes(2**20)}), "weights take 1,048"),
    "no network": (lambda m: zipped({n: m[n] for n in m if n != NETWORK}), "damaged"),
    "no weights": (lambda m: zipped({**m, NETWORK: m[NETWORK][:-9]}), "damaged"),
    "no card": (lambda m: zipped({n: m[n] for n in m if n != CARD}), "no card"),
    "a listed card": (lambda m: zipped({**m, CARD: b"[1]"}), "no mapping"),
    "too small": (lambda m: zipped({**m, NETWORK: b""}), "weights take 0 bytes"),
    "large card": (lambda m: zipped({**m, CARD: b" " * (MAX_CARD + 1)}), "card is larger"),
    "deep card": (lambda m: zipped({**m, CARD: b"[" * 100_000}), "no card"),
    "bzip2": (lambda m: zipped(m, zipfile.ZIP_BZIP2), "is compressed"),
    "encrypted": (encrypted, "is encrypted"),
    "unknown method": (unknown_method, "is compressed"),
    "absolute": (lambda m: renamed(m, "/etc/passwd"), "leave the folder"),
    "parent": (lambda m: renamed(m, "a/../../b"), "leave the folder"),
    "backslash": (lambda m: renamed(m, "..\\b"), "leave the folder"),
    "link": (link, "is a link"),
    "twice": (twice, "two parts"),
    "overlapping": (overlapping, "larger than the file"),
    "no zip": (lambda m: bz2.compress(zipped(m)), "no card"),
    "nan": (lambda m: with_network(m, first_changed(lambda t: t * np.nan)), "not all numbers"),
    "infinite": (lambda m: with_network(m, first_changed(lambda t: t + np.inf)), "not all numbers"),
    "half": (lambda m: with_network(m, first_changed(torch.Tensor.half)), "shape or type"),
    "turned": (lambda m: with_network(m, first_changed(torch.Tensor.t)), "shape or type"),
    "sparse": (lambda m: with_network(m, first_changed(torch.Tensor.to_sparse)), "shape or type"),
    "other names": (lambda m: with_network(m, lambda t: {f"{k}_": v for k, v in t.items()}), "oth"),
    "no tensors": (lambda m: with_network(m, lambda t: {**t, next(iter(t)): 1}), "damaged"),
    "a list": (lambda m: with_network(m, list), "damaged"),
}
CARDS = {
    **{f"null {name}": {name: None} for name in ("agent", "world", "params", "task", "actions")},
    "agent": {"agent": "hoarder"},
    "agent of no hash": {"agent": []},
    "unknown agent": {"agent": "none"},
    "world": {"world": 3},
    "params": {"params": [1]},
    "unknown parameter": {"params": {"colour": 1}},
    "parameter": {"params": {"max_steps": 10**9}},
    "text for a parameter": {"params": {"max_steps": "all"}},
    "task": {"task": {"reward": "dense"}},
    "observations": {"observations": ["a", "b"]},
    "observations twice": {"observations": ["a", "a"]},
    "many observations": {"observations": [str(i) for i in range(10_000)]},
    "actions": {"actions": ["a", 1]},
    "one action": {"actions": ["a"]},
    "timesteps": {"timesteps": "many"},
    "updates": {"updates": -1},
    "first reward": {"first_reward": 0.5},
    "settings": {"settings": []},
    "another network": {"settings": {**SMALL, "net": [3]}},
    "huge network": {"settings": {**SMALL, "net": [10**9, 10**9]}},
    "wide network": {"settings": {**SMALL, "net": [4096] * 16}},
    "unknown setting": {"settings": {**SMALL, "colour": 1}},
    "activation": {"settings": {**SMALL, "activation": "gelu"}},
    "not a number": {"settings": {**SMALL, "gae_lambda": float("nan")}},
}
TASKS = {
    "reward": ["dens", {"every": 10**30}, {"every": "x"}, [1], None, {}, 3, {"every": 4, "a": 1}],
    "gamma": [float("nan"), "1", None, 2.0, [1], 10**400],
    "time_limit": ["none", None, [], {}],
    "power_weight": [float("inf"), "1", None, -1.0, True],
    "windows": [[0], ["a"], [10**30], [None], [[1]], [1.5]],
    "holdings_scale": [0.0, float("nan"), "1", None],
}


@pytest.mark.parametrize(("make", "said"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_nobody_should_open_is_refused(make, said, model, task, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(make(model))
    with pytest.raises(InvalidInput, match="a model that powerseek saved") as refused:
        load_agent(path, task)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("changed", CARDS.values(), ids=CARDS)
def test_an_edited_card_is_refused(changed, model, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(carded(model, **changed))
    with pytest.raises(PowerseekError) as refused:
        evaluate_one(path, "star", {}, 5, 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in TASKS.items() for value in values]
)
def test_an_edited_task_is_refused(name, value, model, tmp_path):
    known = json.loads(model[CARD])["task"]
    path = tmp_path / "a.zip"
    path.write_bytes(carded(model, task={**known, name: value}))
    with pytest.raises(PowerseekError):
        evaluate_one(path, "star", {}, 5, 0)


def test_what_is_whole_is_read(model, task, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(model))
    assert load_agent(path, task).agent == load_agent(path).agent == "cohort-ppo"
    assert task_of(read_card(path), task.world) == task


@pytest.mark.parametrize("agent", ["cohort-ppo", "ppo"])
def test_a_model_is_written_whole_and_through_no_link(agent, task, tmp_path, monkeypatch):
    trained = train(task, agent, timesteps=1, settings=SMALL)
    path, mine = tmp_path / "a.zip", tmp_path / "mine.zip"
    mine.write_text("mine")
    path.symlink_to(mine)
    (tmp_path / ".a.part.zip").symlink_to(mine)

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DiskFull, match="No space left"):
            keep_model(trained, task, tmp_path / "a")
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "mine.zip", ".a.part.zip"}
    assert keep_model(trained, task, tmp_path / "a") == path
    assert load_agent(path, task).agent == agent
    assert not path.is_symlink()
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_one_that_was_cut_short_is_refused(part, model, tmp_path):
    whole, path = zipped(model), tmp_path / "a.zip"
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InvalidInput, match="a model that powerseek saved"):
        load_agent(path)


def test_flipped_bits_are_refused_or_change_nothing(model, task, tmp_path):
    whole, path = zipped(model), tmp_path / "a.zip"
    path.write_bytes(whole)
    before = load_agent(path, task).policy.network.state_dict()
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            after = load_agent(path, task).policy.network.state_dict()
        except InvalidInput:
            refused += 1
        else:
            assert all(torch.equal(after[name], before[name]) for name in before)
    assert refused > 5


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "nothing"])
def test_a_path_that_is_no_file_is_refused_at_once(kind, tmp_path):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match=r"no regular file|No such file"):
        load_agent(path)


class Keeps(Agent):
    """Saves arrays of its own."""

    id = "test.keeps"

    @classmethod
    def policy_from(cls, weights, card):
        raise AssertionError("never asked for what is refused")


def saved_arrays(*headers):
    """An ``.npz`` with arrays of any header, 8 bytes each."""
    file = io.BytesIO()
    for header in headers:
        np.lib.format.write_array_header_1_0(file, header)
    return zipped({"a.npy": file.getvalue() + bytes(8)})


HEADERS = {
    "huge": {"shape": (10**12,), "fortran_order": False, "descr": "<f8"},
    "negative": {"shape": (-1,), "fortran_order": False, "descr": "<f8"},
    "wide": {"shape": (1,), "fortran_order": False, "descr": "<V1000000000"},
    "objects": {"shape": (1,), "fortran_order": False, "descr": "|O"},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_arrays_are_as_large_as_they_say(header, model, tmp_path, monkeypatch):
    monkeypatch.setitem(agents._entries, "test.keeps", Keeps)
    content = saved_arrays(header)
    with pytest.raises(ValueError, match="than its header says"):
        read_arrays(content)
    card = json.dumps(json.loads(model[CARD]) | {"agent": "test.keeps"})
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({WEIGHTS: content, CARD: card}))
    with pytest.raises(InvalidInput, match="a model that powerseek saved"):
        load_agent(path)


def test_weights_that_are_no_numbers_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setitem(agents._entries, "test.keeps", Keeps)
    file = io.BytesIO()
    np.savez(file, a=np.array([1.0, np.nan]))
    card = json.dumps(json.loads(model[CARD]) | {"agent": "test.keeps"})
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({WEIGHTS: file.getvalue(), CARD: card}))
    with pytest.raises(InvalidInput, match="'a' are not all numbers"):
        load_agent(path)


def test_the_command_line_says_so_in_a_line(model, tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.zip"
    path.write_bytes(encrypted(model))
    monkeypatch.setattr(sys, "argv", ["powerseek", "evaluate", str(path), "--world", "star"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: model: ")
