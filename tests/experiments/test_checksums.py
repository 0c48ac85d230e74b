"""No bit of a file of results changes unseen, and nothing but a file is read."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from powerseek.experiments.checksums import (
    BLANK,
    Altered,
    Record,
    check,
    results_fingerprint,
    seal_file,
    sealed_bytes,
    sealed_record,
    verify,
)
from powerseek.experiments.results.files import keep_results_file, write_json, write_table
from powerseek.experiments.results.oracles import _path, keep_exact, read_exact
from powerseek.experiments.results.recordings import read_recording, write_recording

SETTING = '{"world":"star"}'


def yaml(folder: Path) -> Path:
    path, text = folder / "study.yaml", f"name: s\nseeds: 3\n# checksum: {BLANK}\n"
    keep_results_file(path, lambda temporary: temporary.write_text(text))
    return path


def json(folder: Path) -> Path:
    write_json(folder / "a.json", {"seeds": 3, "study": "s", "checksum": "older"})
    return folder / "a.json"


def parquet(folder: Path) -> Path:
    table = pa.table({"value": [0.25, 0.5, None], "metric": ["success", "excess", "success"]})
    write_table(folder / "a.parquet", table)
    return folder / "a.parquet"


def npz(folder: Path) -> Path:
    keep_exact(folder, SETTING, "", {"need": np.arange(9.0)})
    return _path(folder, SETTING)


def gzip(folder: Path) -> Path:
    return write_recording(folder, "t", {"form": 1, "legend": "x" * 99})


KINDS = (yaml, json, parquet, npz, gzip)
Kind = Callable[[Path], Path]


@pytest.mark.parametrize("kind", KINDS)
def test_any_flipped_bit_is_seen(kind: Kind, tmp_path: Path) -> None:
    path, chance = kind(tmp_path), random.Random(0)
    whole = path.read_bytes()
    assert verify(whole, required=True)
    assert check(path, required=True)
    assert sealed_bytes(path, required=True) == whole
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        with pytest.raises(Altered):
            verify(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_short_or_made_longer_is_seen(kind: Kind, tmp_path: Path) -> None:
    path = kind(tmp_path)
    whole = path.read_bytes()
    for data in (whole[:-1], whole[1:], whole + b"\n", b""):
        path.write_bytes(data)
        for look in (check, sealed_bytes):
            with pytest.raises(Altered):
                look(path, required=True)


def test_files_are_read_by_their_own_programs(tmp_path: Path) -> None:
    assert pd.read_parquet(parquet(tmp_path))["value"].tolist()[:2] == [0.25, 0.5]
    npz(tmp_path)
    found = read_exact(tmp_path, SETTING)
    assert found is not None
    assert found["need"].tolist() == list(range(9))
    gzip(tmp_path)
    assert read_recording(tmp_path, "t")["legend"] == "x" * 99


def test_rows_edited_by_a_tool_are_seen(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    pd.read_parquet(path).assign(value=1.0).to_parquet(path)
    assert not check(path)
    with pytest.raises(Altered, match="edited"):
        check(path, required=True)


def test_a_file_without_room_stays_as_it_is(tmp_path: Path) -> None:
    for data in (b"", b"text"):
        (tmp_path / "a").write_bytes(data)
        seal_file(tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == data
        assert sealed_bytes(tmp_path / "a") == data
        assert sealed_bytes(tmp_path / "a", None) == data


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is at most 108 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [fifo, folder, device, bound])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a")
    for look in (check, sealed_bytes, lambda path: sealed_record(path, Record)):
        with pytest.raises(OSError, match="not a file"):
            look(tmp_path / "a")
    assert results_fingerprint(tmp_path / "a") == ""
