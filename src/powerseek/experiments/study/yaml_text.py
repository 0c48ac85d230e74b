"""YAML as studies and options are written: the one place where it is read and written.

YAML 1.1, from which everything is taken out that one reader takes for one value and the next for
another: octal and sexagesimal numbers, dates, keys that are no text, tags.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from powerseek.errors import InvalidInput, cut_text

MAX_LENGTH = 256 * 1024
"""Letters of a text."""
MAX_DEPTH, MAX_VALUES = 40, 50_000
"""Lists and mappings within each other; values in all, each alias counted as what it stands for."""
MAX_DIGITS = 40

_AMBIGUOUS = "tag:powerseek,ambiguous"
_OCTAL = r"(?P<sign>[-+]?)0o?(?P<octal>[0-9_]+)"
_SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
_NO_NUMBER = r"[-+]?0[xb]_+"
_PATTERN = re.compile(rf"(?:{_OCTAL}|{_SEXAGESIMAL}|{_NO_NUMBER})$")
_MERGE, _TEXT, _DATE = (f"tag:yaml.org,2002:{name}" for name in ("merge", "str", "timestamp"))


def read_yaml(text: str, field: str, source: object, allowed: str = "a YAML file") -> Any:
    """The value that a text is.

    Args:
        text: At most `MAX_LENGTH` letters.
        field: Name of the argument that gave it, for messages.
        source: Where the text is from, or the text itself, likewise.
        allowed: What is allowed, likewise.

    Raises:
        InvalidInput: No YAML, or a value that YAML has several meanings for; it says which line,
            and what to write.
    """
    try:
        if len(text) > MAX_LENGTH:
            raise yaml.YAMLError(f"More than {MAX_LENGTH:,} letters")
        _check_events(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_node(node, {})
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(field, source, allowed, cut_text(_reason(error))) from None


def write_yaml(value: Any, *, flow: bool = False) -> str:
    """A value as text that `read_yaml` reads as the same; `flow`: on one line."""
    width = 1e6 if flow else 100
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=flow, width=width
    )
    return text


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = " ".join(filter(None, (getattr(error, "context", ""), getattr(error, "problem", ""))))
    return f"Line {mark.line + 1}, column {mark.column + 1}: {problem}"


class _Refused(yaml.MarkedYAMLError):
    """Something that YAML allows and we do not."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that names what can be read in several ways."""

    def construct_int(self, node: Any) -> int:
        if len(node.value) > MAX_DIGITS:
            raise _Refused(f"a number of {len(node.value):,} digits", node.start_mark)
        return int(self.construct_yaml_int(node))

    def refuse_ambiguous(self, node: Any) -> None:
        raise _Refused(_alternatives(node.value), node.start_mark)

    def refuse_date(self, node: Any) -> None:
        raise _Refused(f'a date: write "{node.value}", in quotes, for text', node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
_Loader.add_constructor(_DATE, _Loader.refuse_date)
_Loader.add_constructor(_AMBIGUOUS, _Loader.refuse_ambiguous)


class _Dumper(yaml.SafeDumper):
    """A SafeDumper that puts in quotes what the loader would refuse."""


for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {
        first: [(_AMBIGUOUS, _PATTERN), *known] if first in "-+0123456789" else known
        for first, known in _kind.yaml_implicit_resolvers.items()
    }


def _alternatives(text: str) -> str:
    """Words for a number that can be read in several ways, with each of them to write."""
    plain = text.replace("_", "")
    match = _PATTERN.match(text)
    values: list[float] = []
    if ":" in plain:
        total = 0.0
        for part in plain.lstrip("+-").split(":"):
            total = total * 60 + float(part)
        values = [-total if plain.startswith("-") else total]
    elif match and match["octal"] and len(plain) <= MAX_DIGITS:
        digits = match["octal"].replace("_", "") or "0"
        decimal = [] if "o" in plain else [int(match["sign"] + digits)]
        octal = [] if set(digits) & {"8", "9"} else [int(match["sign"] + digits, 8)]
        values = [*decimal, *octal]
    ways = " or ".join(f"{value:g}" for value in dict.fromkeys(values))
    said = cut_text(text)
    return f'{said} has no one meaning: write {ways}{ways and ", or "}"{said}" for text'


def _check_events(text: str) -> None:
    """Refuse tags and depth, without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} levels of nesting", event.start_mark)
        if tag := getattr(event, "tag", None):
            told = cut_text(str(tag).replace("tag:yaml.org,2002:", "!!"))
            problem = f"the tag {told}: write the value without it, text in quotes"
            raise _Refused(problem, event.start_mark)


def _check_node(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Values and depth of a node, each alias counted as what it stands for; refuse odd keys.

    `known` holds those that were counted, and (0, 0) of those that are being counted.
    """
    if id(node) in known:
        if not known[id(node)][0]:
            raise _Refused("an anchor that holds itself", node.start_mark)
        return known[id(node)]
    known[id(node)] = (0, 0)
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [value for _, value in node.value]
    parts = [_check_node(child, known) for child in children]
    values, depth = 1 + sum(part[0] for part in parts), 1 + max((p[1] for p in parts), default=0)
    if values > MAX_VALUES or depth > MAX_DEPTH + 1:
        told = f"anchors that expand to more than {MAX_VALUES:,} values or {MAX_DEPTH} levels"
        raise _Refused(told, node.start_mark)
    known[id(node)] = (values, depth)
    return values, depth


def _check_keys(node: Any) -> None:
    """Refuse a key written twice, which YAML would silently let win, and one that is no text."""
    seen = set()
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise _Refused("a list or mapping as a key: keys are text", key.start_mark)
        if key.tag != _TEXT:
            said = cut_text(key.value)
            told = f'the key {said} is no text: write "{said}", in quotes'
            raise _Refused(told, key.start_mark)
        if key.value in seen:
            raise _Refused(f"the key {cut_text(repr(key.value))} is written twice", key.start_mark)
        seen.add(key.value)
