"""Files of results are cut or flipped: each is read right, or refused with the line that mends."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import zlib
from collections.abc import Sequence
from pathlib import Path

import faults
import pytest

from powerseek.experiments import layout
from powerseek.experiments.results.oracles import ARM, WORLD, exact_setting, read_exact
from powerseek.experiments.results.recordings import read_recording
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials

COMPANIONS = (layout.MODELS, layout.REPLAYS, layout.ORACLES)
"""What neither command needs once its trials are finished; whoever does sees the damage."""


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that Ctrl-C stopped within its third trial."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "study.yaml").write_text(faults.STUDY)
    stop_at = 50

    def sent(self: Store, path: Path) -> None:
        nonlocal stop_at
        stop_at -= 1
        if not stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "sent", sent)
        assert faults.answer(*faults.WORDS).code == 128 + signal.SIGINT
    signal.signal(signal.SIGINT, before)
    assert len(faults.finished(folder / "out")) == 2
    assert any((folder / "out" / layout.CHECKPOINTS).iterdir())
    return folder


def kind(name: str) -> str:
    """Files of one kind are as likely to be hit as those of another."""
    folder, _, last = name.rpartition("/")
    if name.startswith((layout.TENSORBOARD, layout.EVENTS)):
        return layout.TENSORBOARD
    return folder if folder not in ("", layout.INTERNALS) else last


def damage(out: Path, chance: random.Random, cut: bool) -> str:
    """Cut a file short or flip one of its bits; its name."""
    kinds: dict[str, list[Path]] = {}
    for path in faults.files(out):
        if path.stat().st_size:
            kinds.setdefault(kind(path.relative_to(out).as_posix()), []).append(path)
    path = chance.choice(kinds[chance.choice(sorted(kinds))])
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data[:at] if cut else data)
    return path.relative_to(out).as_posix()


def right(out: Path, whole: Path) -> bool:
    """True if the merged rows are those of the undisturbed run, of the trials that are there."""
    found, wanted = (Store(folder).load() for folder in (out, whole / "out"))
    wanted = wanted[wanted["trial"].isin(Store(out).kept())].reset_index(drop=True)
    return bool(found.equals(wanted))


def advised(said: faults.Said) -> list[Path]:
    """Files that the lines say to move away."""
    paths = []
    for line in said.err.splitlines():
        named = re.search(r"[Mm]ove (\S+) away|remove (\S+):", line)
        word = named and (named[1] or named[2])
        paths.append(Path(line.split(": ")[1] if word == "it" else word or ""))
    return [path for path in paths if path.is_file()]


def seen(name: str, out: Path, whole: Path) -> bool:
    """True if the reader of a companion refuses a damaged one, or reads what was written."""
    key = Path(name).name.partition(".")[0]
    try:
        if name.startswith(layout.REPLAYS):
            return read_recording(out, key) == read_recording(whole / "out", key)
        if name.startswith(layout.MODELS):
            return faults.weights(out / name) in (None, faults.weights(whole / "out" / name))
    except (OSError, EOFError, ValueError, zlib.error):
        return True
    grid = trials(Store(whole / "out").study())
    settings = {exact_setting(trial.cell, part) for trial in grid for part in (ARM, WORLD)}
    return any(read_exact(out, setting) is None for setting in settings)


def suffer(
    words: Sequence[str], name: str, before: dict[str, int], whole: Path, held: dict[str, object]
) -> faults.Tally:
    """Give a command where a file is damaged, and do as it says; what came of it."""
    out, found, fault = Path("out"), faults.Tally(faults=1), f"{name}, {words[0]}"
    said = faults.answer(*words)
    found["refused" if said.code else "survived"] += 1
    if said.code:
        (line,) = said.errors
        assert said.code == 2, line
        assert name in line, (fault, line)
    else:
        assert right(out, whole), fault
    moved, shown = list[str](), [said.out, said.err]
    while (away := advised(said)) or said.code or words != faults.WORDS:
        for path in away:
            path.unlink()
        moved += [path.name for path in away]
        assert len(moved) < 4, said.err
        words, said = faults.WORDS, faults.answer(*faults.WORDS)
        shown += [said.out, said.err]
    told = {layout.REGISTRATION: {layout.REGISTRATION}, layout.PROVENANCE: set[str]()}
    expected = {*told[name], layout.SUMMARY} if name in told else set[str]()
    if name.startswith(COMPANIONS) and seen(name, out, whole):
        expected = {name}
    found.harmed(
        fault,
        lost=sorted({*faults.lost(out, before)} - {*moved}),
        changed=sorted({*faults.differences(out, held)} - expected),
        torn=sorted({*faults.torn(out)} - expected),
        temporaries=faults.temporaries(out),
        tracebacks=faults.troubles("".join(shown)),
    )
    return found


@pytest.mark.parametrize(
    ("count", "both"),
    [(2, False), pytest.param(40, True, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_damaged_files_cost_no_result(
    count: int,
    both: bool,
    whole: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is tried with both commands; of few by turns, and none of an interrupted study."""
    chance, held = random.Random(8), faults.held(whole / "out")
    commands = [("report", "out"), faults.WORDS]
    tallies = {words[0]: faults.Tally() for words in commands}
    studies = [whole, whole]
    if both:
        studies += [request.getfixturevalue("interrupted")] * 2
    for number in range(count):
        hit = Path(shutil.copytree(studies[number % len(studies)], tmp_path / f"{number}"))
        before = faults.finished(hit / "out")
        name = damage(hit / "out", chance, cut=number % 2 == 0)
        for words in commands if both else [commands[number % 2]]:
            there = shutil.copytree(hit, tmp_path / f"{number}-{words[0]}")
            monkeypatch.chdir(there)
            tallies[words[0]].update(suffer(words, name, before, whole, held))
    for command, tally in tallies.items():
        tally.show(f"damages, then {command}")
    for tally in tallies.values():
        tally.check(count if both else count // 2)
