"""A first look: a small study from training to its table and one picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from powerseek.experiments.console import Console
from powerseek.experiments.report.terminal import print_answer
from powerseek.experiments.run import Finished, run_study
from powerseek.experiments.study.schema import load_study

STUDY = "demo"
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables that say that pictures can be shown."""


def run_demo(out: str, workers: int | None = None) -> Finished:
    """Run the shipped study, or show it where it is finished already; see `run_study`."""
    return run_study(STUDY, out, resume=True, workers=workers)


def show_demo(finished: Finished, console: Console, say: Callable[[str], None]) -> Path | None:
    """Print what was found, where its picture lies and how to go on; the picture's path."""
    print_answer(finished.view, console)
    shown = finished.store.shown
    lead = lead_picture(finished)
    if lead is not None:
        say(f"picture:  {shown(lead)}")
    say(f"report:   {shown(finished.report)}")
    say("Go on:    powerseek sweep quick       more worlds, rewards and horizons (4 minutes)")
    say("          powerseek envs              what agents can be trained in")
    say(f"          powerseek report {shown(finished.store.out)}  all of this study's tables")
    return lead


def lead_picture(finished: Finished) -> Path | None:
    """The picture that the report begins with; None where it was not drawn."""
    first = load_study(STUDY).worlds[0].id
    return next((path for path in finished.figures if path.stem == f"acquisition-{first}"), None)


def has_screen() -> bool:
    """Whether a picture can be opened for the one who reads the terminal."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, SCREENS))
