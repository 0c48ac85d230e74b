"""Files are written whole or not at all, and what is not ours is never touched."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest

from powerseek.files import remove_temporaries, write_atomically

MOMENTS = {"created": (tempfile, "mkstemp"), "flushed": (os, "fsync"), "moved": (os, "replace")}


def write(path, text="after"):
    write_atomically(path, lambda temporary: temporary.write_text(text))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_refusal_at_any_moment_leaves_what_was_there(moment, code, tmp_path, monkeypatch):
    def refused(*words, **more):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.txt"
    path.write_text("before")
    monkeypatch.setattr(*MOMENTS[moment], refused)
    with pytest.raises(OSError, match=os.strerror(code)):
        write(path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "before"}


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def half(target):
        target.write_text("hal")
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        write_atomically(path, half)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "before"}


@pytest.mark.parametrize("leads", ["mine.txt", "folder", "nowhere", "a.txt"])
def test_a_link_is_replaced_and_what_it_leads_to_is_left(leads, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    path = tmp_path / "a.txt"
    path.symlink_to(leads)
    write(path)
    assert path.read_text() == "after"
    assert not path.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "folder", "mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_and_stays(make, tmp_path):
    path = tmp_path / "a.txt"
    make(path)
    kind = path.stat().st_mode
    with pytest.raises(OSError, match="no file"):
        write(path)
    assert path.stat().st_mode == kind
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path):
    write(tmp_path / ("n" * 255))
    assert [len(p.name) for p in tmp_path.iterdir()] == [255]


def test_only_half_written_files_of_ours_are_removed(tmp_path):
    path = tmp_path / "a.txt"

    def killed(target):
        os.link(target, tmp_path / f".{target.name[1:9][::-1]}.powerseek-part")  # as if it stayed
        target.write_text("hal")

    write_atomically(path, killed)
    (half,) = tmp_path.glob(".*")
    mine = [
        ".notes.md",
        ".draft.tar.gz",
        ".powerseek-part",
        ".my.notes.powerseek-part",
        ".linked00.powerseek-part",
    ]
    for name in mine[:-1]:
        (tmp_path / name).write_text("mine")
    (tmp_path / mine[-1]).symlink_to(".notes.md")
    (tmp_path / ".afolder0.powerseek-part").mkdir()
    remove_temporaries(tmp_path)
    assert not half.exists()
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"a.txt", ".afolder0.powerseek-part", *mine}
