"""A page of HTML as tests see it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source"}


class Page(HTMLParser):
    """Balanced tags, and what the page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), tag
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words += data
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def check_alone(found: Page, text: str) -> None:
    """Nothing is loaded or left unfilled, and no script but the page's own is run."""
    bare = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert "http:" not in bare
    assert "https:" not in bare
    assert "@import" not in bare
    assert "url(" not in bare
    assert not re.search(r"\{\{|\{%|\{#", bare)
    assert {tag for tag, _ in found.tags}.isdisjoint({"link", "iframe", "object"})
    assert not re.search(r"fetch\(|import\(|eval\(|XMLHttpRequest|innerHTML", bare)
    for attributes in (attributes for tag, attributes in found.tags if tag == "script"):
        assert attributes in ({}, {"type": "application/json"})
    for _, attributes in found.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "srcset", "href"):
                assert (value or "").startswith(("data:image/png;base64,", "#"))
