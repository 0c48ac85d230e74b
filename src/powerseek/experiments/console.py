"""The terminal: texts of users, plugins and other people's results are shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from powerseek.errors import printable


def warn(console: rich.console.Console, text: str) -> None:
    """Say what the user should know, in a line of its own."""
    line = f"warning: {text}"
    console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


class Console(rich.console.Console):
    """A console to which no text is markup or an escape sequence."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments of what is shown, with printable text; rich's own are left as they are."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)
