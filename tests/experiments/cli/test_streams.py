from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORK = """
import sys
from pathlib import Path
from powerseek.experiments.cli.streams import lasting_streams
with lasting_streams():
    for _ in range(3):
        print("3 · Zoë…", flush=True)
        print("said", file=sys.stderr, flush=True)
    Path("kept").write_text("done")
"""
COMMAND = """
import sys
from powerseek.experiments.cli import main
sys.argv = ["powerseek", "envs", "star"]
main()
"""
FULL = "error: standard output: No space left on device\n"


def start(words: str, folder: Path, code: str = WORK) -> subprocess.CompletedProcess[str]:
    """What came of `code`, its streams directed as the shell's `words` say."""
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {words}', sys.executable, code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (">/dev/full", 1, "", "said\n" * 3 + FULL),
        (">/dev/full 2>&1", 1, "", ""),
        ("2>/dev/full", 0, "3 · Zoë…\n" * 3, ""),
        (">&-", 0, "", "said\n" * 3),
        ("<&- >&- 2>&-", 0, "", ""),
    ],
)
def test_work_goes_on_where_output_cannot_be_written(
    words: str, code: int, out: str, err: str, tmp_path: Path
) -> None:
    done = start(words, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
    assert (tmp_path / "kept").read_text() == "done"


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-c", WORK]
    done = subprocess.run(words, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"said\n" * 3)
    assert (tmp_path / "kept").read_text() == "done"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_said_in_ascii(
    encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = subprocess.run([sys.executable, "-c", WORK], cwd=tmp_path, capture_output=True)
    said = {"ascii": "3 | Zo\\xeb~\n", "latin-1": "3 · Zoë~\n"}[encoding] * 3
    assert done.stdout.decode(encoding) == said
    assert done.returncode == 0


def test_the_command_line_has_such_streams(tmp_path: Path) -> None:
    done = start(">/dev/full", tmp_path, COMMAND)
    assert (done.returncode, done.stderr) == (1, FULL)
