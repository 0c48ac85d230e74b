"""The terminal shows texts: none is markup or an escape sequence."""

from __future__ import annotations

import io

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from powerseek.errors import printable
from powerseek.experiments.console import Console

STEERING = "a\x1b[31mb\x07\x9bc\u202ed\u2028e\ud800"
SHOWN = "a\ufffd[31mb\ufffd\ufffdc\ufffdd\ufffde\ufffd"


def test_letters_that_steer_are_replaced_and_others_kept() -> None:
    assert printable(STEERING) == SHOWN
    for text in ("Wüste, 3\u2009units \u2264 4\n\tnext", "δ̂ 漢字 🎲", ""):
        assert printable(text) == text


def test_nothing_shown_is_markup_or_an_escape_sequence() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100)
    table = Table(STEERING, title=f"{STEERING}[/red]")
    table.add_row(f"[bold]{STEERING}")
    for thing in (f"{STEERING}[/red]", Text(STEERING), Panel(STEERING), table):
        console.print(thing)
    text = written.getvalue()
    assert text.count("[/red]") == 2
    assert "[bold]" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e\u2028\ud800")
    assert text.count("\ufffd") >= 4 * 5


def test_a_terminal_keeps_its_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    written = io.StringIO()
    Console(file=written, force_terminal=True, color_system="standard").print(
        Text("found", style="bold"), STEERING
    )
    text = written.getvalue()
    assert "\x1b[1mfound\x1b[0m" in text
    assert "\x1b[31m" not in text
