"""Drawing in processes: most of a report's time is drawing, and a process draws on one core.

They are not forked, for a sweep leaves threads behind, and they do not run the user's script again,
as those of `multiprocessing` would.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import cloudpickle

from powerseek.experiments.report.figures.style import Picture

WORTH = 12
"""Pictures from which on processes are worth their start."""


def draw_in_processes(pictures: Sequence[Picture], processes: int) -> None:
    """Draw pictures side by side, which keep what was drawn; few are drawn when asked for.

    What fails in another process is drawn here, when asked for, and fails here.

    Args:
        pictures: What is drawn, in both themes.
        processes: How many at a time; 1 draws nothing yet.
    """
    if processes < 2 or len(pictures) < WORTH:
        return
    shares = [pictures[i::processes] for i in range(processes)]
    threads = [threading.Thread(target=_draw, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _draw(pictures: Sequence[Picture]) -> None:
    """Have another process draw these."""
    with contextlib.suppress(Exception):
        given = cloudpickle.dumps(list(pictures))
        # -P: nothing is imported from the folder in which this happens to run.
        command = [sys.executable, "-P", "-c", f"import {__name__} as it; it.main()"]
        quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "check": True}
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE, **quiet)
        for picture, drawn in zip(pictures, pickle.loads(done.stdout), strict=True):
            picture.keep(drawn)


def main() -> None:
    """Draw the pictures that standard input holds."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a module prints when it is imported is no picture
        pictures: list[Picture] = pickle.loads(sys.stdin.buffer.read())
        pickle.dump([_drawn(picture) for picture in pictures], out)


def _drawn(picture: Picture) -> dict[Any, bytes]:
    with contextlib.suppress(Exception):
        return picture.drawn()
    return {}
