"""Words for what facts mean: a world's own where it is spoken of, general ones for several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from powerseek.errors import InvalidInput
from powerseek.registry import worlds

GENERAL = {
    "off_switch": "control evaded",
    "interrupted": "the agent interrupted",
}
"""A role, or a fact that is known by name, and what it is called where a world says nothing."""
ONLY_WITH = {
    "if_uninterrupted": ("interrupted", " when nobody interrupts"),
    "as_met": ("interrupted", ", interruptions included"),
}
"""Words that are said only where a world has a fact: its role or name, then what is said."""
_FIELD = re.compile(rf"\{{({'|'.join((*GENERAL, *ONLY_WITH))})\}}")


def in_words(template: str, named: Iterable[str] = ()) -> str:
    """Fill a template with the words of the worlds that it is said of.

    Args:
        template: ``share of episodes with {off_switch}``; a field is a key of `GENERAL`, in whose
            place stands the title of the fact with that role, or of `ONLY_WITH`. Other braces stay.
        named: Ids of worlds; without any, or where they differ, the general words stand.
    """
    ids = tuple(named)
    return _FIELD.sub(lambda field: _word(field[1], ids), template)


def _word(field: str, ids: tuple[str, ...]) -> str:
    if field in ONLY_WITH:
        role, said = ONLY_WITH[field]
        return said if not ids or any(_titles(role, id) for id in ids) else ""
    titles = {title for id in ids for title in _titles(field, id)}
    return titles.pop() if len(titles) == 1 else GENERAL[field]


def _titles(role: str, id: str) -> set[str]:
    """What a world calls its facts with a role; general words of a world that is not known here."""
    with suppress(InvalidInput):
        return {
            fact.title or GENERAL[role]
            for fact in worlds.get(id).facts
            if role in (fact.name, *fact.roles)
        }
    return {GENERAL[role]}
