"""The pages of a report, from templates: one HTML file that needs nothing else, and Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from powerseek.errors import printable
from powerseek.experiments import layout
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import DARK
from powerseek.experiments.report.hypotheses import ANSWERS, verdicts_of
from powerseek.experiments.report.sections import Section, headline, report_heading, unfinished
from powerseek.experiments.report.text import column_meanings
from powerseek.experiments.results.files import keep_results_file
from powerseek.experiments.results.provenance import provenance_in_words, read_provenance


def write_report(view: View, parts: Sequence[Section], folder: Path) -> Path:
    """Write the HTML page of a study: readable on a phone, light and dark, nothing to load.

    Args:
        view: The study.
        parts: What it shows, from `sections`.
        folder: Where to; what was recorded there of its runs is used where present.

    Returns:
        The path of ``report.html``, written whole or not at all.
    """
    return _write(layout.REPORT, view, parts, folder)


def write_summary(view: View, parts: Sequence[Section], folder: Path) -> Path:
    """Write ``summary.md`` likewise, to paste elsewhere; its pictures are PNGs of ``figures``."""
    return _write(layout.SUMMARY, view, parts, folder)


def page_text(name: str, view: View, parts: Sequence[Section], folder: Path) -> str:
    """The page that is called like its template; arguments as of `write_report`."""
    provenance = read_provenance(folder)
    return render(
        name,
        title=report_heading(view, provenance, folder),
        headline=headline(view),
        mixed=(*unfinished(view, provenance), *view.mixed, *view.broken.values()),
        verdicts=verdicts_of(view),
        sections=parts,
        provenance=provenance_in_words(provenance) if provenance else {},
    )


def _write(name: str, view: View, parts: Sequence[Section], folder: Path) -> Path:
    text = page_text(name, view, parts, folder)
    path = folder / name
    keep_results_file(path, lambda draft: draft.write_text(text, encoding="utf-8"))
    return path


def render(name: str, **context: object) -> str:
    """A template filled in; no word of the context is markup.

    Args:
        name: File in ``templates``; one of Markdown ends in ``.md``.
        context: What it shows.
    """
    if not name.endswith(".md"):
        return HTML.get_template(name).render(context)
    text = MARKDOWN.get_template(name).render(context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _as_it_is(value: object) -> Markup:
    """Text that Markdown shows as it is: nothing in it is markup, and it stays on its line."""
    if isinstance(value, Markup):
        return value
    words = printable(" ".join(str(value).split()))
    return Markup(re.sub(r"([\\`*_[\]<>|#&~$])", r"\\\1", words))


HTML = Environment(
    loader=PackageLoader("powerseek.experiments.report"),
    autoescape=True,
    finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
HTML.globals |= {
    "ANSWERS": ANSWERS,
    "DARK": DARK,
    "FIGURES": layout.FIGURES,
    "column_meanings": column_meanings,
}
HTML.filters |= {
    "anchor": lambda title: re.sub(r"\W+", "-", title.lower()).strip("-"),
    "base64": lambda data: base64.b64encode(data).decode(),
    "kind": lambda part: type(part).__name__,
}
MARKDOWN = HTML.overlay(finalize=_as_it_is)
