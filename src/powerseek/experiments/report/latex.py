"""The tables of a report as LaTeX, to be read in by a paper: booktabs, one table a float."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from powerseek.errors import printable
from powerseek.experiments.analysis.calibration import study_doubts
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.comparisons import contrast_grids, refer_to_hypotheses
from powerseek.experiments.report.hypotheses import verdicts_of
from powerseek.experiments.report.sections import headline, seeds_in_words
from powerseek.experiments.report.tables import world_grids
from powerseek.experiments.report.text import (
    COUNTS,
    DAGGER,
    DOUBTED,
    Grid,
    table_legend,
)
from powerseek.experiments.results.integrity import read_manifest
from powerseek.experiments.study.contrasts import contrast_kind

MARKS = (DAGGER, DOUBTED)
"""What a caption explains where its table shows it; heads of columns are in the comments."""
MEANS = (
    "Means of the seeds that learnt the task; in brackets 95 % intervals, by bootstrap over seeds, "
    "or the range over optimal policies of what is exact."
)
EFFECTS = "Differences between groups of seeds that learnt the task; in brackets 95 % intervals."
LATIN = 0xFF
"""The last letter that every LaTeX knows."""
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "\ufffd": "?",
    DAGGER: r"$\dagger$",
    DOUBTED: r"$\ddagger$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")


def latex_tables(view: View, about: Mapping[str, Any]) -> str:
    r"""The tables of treatments and of comparisons, with the numbers and marks of the report.

    What it gives needs ``\usepackage{booktabs}`` and ``\usepackage{textcomp}``.

    Args:
        view: The study.
        about: Its manifest: ``study``, ``identity``, ``seeds`` and the version ``powerseek``.
    """
    treatments = world_grids(view.summary, view.asked, doubts=study_doubts(view))
    found = refer_to_hypotheses(view.compared, verdicts_of(view).found)
    named = [("", grid) for grid in treatments]
    named += [
        (contrast_kind(kind).title, grid)
        for kind, grids in contrast_grids(found).items()
        for grid in grids
    ]
    made_of = _made_of(view, about)
    body = [
        _table(title, grid, made_of, f"{about['study']}-{number}")
        for number, (title, grid) in enumerate(named, 1)
    ]
    comments = [*_comments(view, about, [grid for _, grid in named])]
    if any(ord(letter) > LATIN for text in body for letter in text):
        comments.append("% pdflatex lacks letters of theirs: use lualatex or xelatex.")
    return "\n".join([*comments, "", *body])


def latex_of_folder(folder: Path) -> str:
    """The same of a results directory.

    Raises:
        InvalidInput: There are no results, or they cannot be read.
        StoreError: They are of another format, or the manifest cannot be read.
    """
    return latex_tables(View.read(folder), read_manifest(folder))


def _made_of(view: View, about: Mapping[str, Any]) -> str:
    """The end of every caption: what the numbers are of."""
    registered = view.registration
    known = f", registered as {registered.hash[:16]}" if registered and registered.hash else ""
    return (
        f"Study {about['study']} ({seeds_in_words(view, about['seeds'])}; identity "
        f"{str(about['identity'])[:16]}{known}); powerseek {about['powerseek']}."
    )


def _comments(view: View, about: Mapping[str, Any], grids: Sequence[Grid]) -> Iterator[str]:
    yield f"% Tables of the study {_line(about['study'])}: {_line(headline(view))}"
    yield r"% They need \usepackage{booktabs} and \usepackage{textcomp}."
    for words in view.foot:
        yield f"% {_line(words)}"
    for head, meaning in table_legend(grids).items():
        yield f"% {_line(head)}: {_line(meaning)}"


def _line(text: object) -> str:
    """A text within a comment, which ends where its line ends."""
    return " ".join(printable(str(text)).split())


def _table(title: str, grid: Grid, made_of: str, label: str) -> str:
    cells = [text for row, _ in grid.shown for text in row]
    marks = [
        f"{mark}: {COUNTS[mark]}." for mark in MARKS if any(text.endswith(mark) for text in cells)
    ]
    intervals = [EFFECTS if title else MEANS] if any(" [" in text for text in cells) else []
    titles = [f"{text.rstrip('.')}." for text in (title, grid.title) if text]
    caption = " ".join([*titles, *intervals, *marks, grid.left_out, made_of]).replace("  ", " ")
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{tex(caption)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', label)}}}",
        r"\footnotesize",
        rf"\begin{{tabular}}{{{''.join('l' if words else 'r' for words in grid.words)}}}",
        r"\toprule",
        _row(grid.headers),
        r"\midrule",
        *(_row(row) for row, _ in grid.shown),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return " & ".join(map(tex, texts)) + r" \\"


def tex(text: str) -> str:
    """A text as LaTeX prints it: nothing in it is a command, and a minus is as long as a plus."""
    escaped = "".join(_TEX.get(letter, letter) for letter in _line(text))
    return _MINUS.sub("$-$", escaped)
