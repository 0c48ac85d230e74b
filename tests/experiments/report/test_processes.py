"""Pictures drawn in processes are those drawn here, to the byte."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from powerseek.experiments.report.figures import processes
from powerseek.experiments.report.figures.style import DARK, LIGHT, Picture, Theme


def picture(name: str, height: float = 1.0) -> Picture:
    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(2, height))
        figure.subplots().plot([0, height], color=theme.ink)
        return figure

    return Picture(name, name, "", draw)


def broken() -> Picture:
    def draw(theme: Theme) -> Figure:
        raise ValueError("no data")

    return Picture("broken", "broken", "", draw)


def test_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WORTH", 3)
    names = ("a", "b", "c")
    apart = [*map(picture, names), broken()]
    processes.draw_in_processes(apart, 2)
    for one, name in zip(apart, names, strict=False):
        kept = dict(one._kept)
        assert set(kept) == {(LIGHT, "png"), (LIGHT, "svg"), (DARK, "png")}
        assert kept == picture(name).drawn()
    assert not apart[-1]._kept
    with pytest.raises(ValueError, match="no data"):
        apart[-1].png()


@pytest.mark.parametrize("processes_asked", [1, 2])
def test_few_are_drawn_when_asked_for(processes_asked: int) -> None:
    few = [picture("a")]
    processes.draw_in_processes(few, processes_asked)
    assert not few[0]._kept


def test_without_processes_they_are_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "WORTH", 1)
    monkeypatch.setattr(processes.sys, "executable", "/nowhere/python")
    one = picture("a")
    processes.draw_in_processes([one], 2)
    assert one.png() == picture("a").png()
