from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerseek.errors import InvalidInput
from powerseek.experiments.study.schema import parse_study
from powerseek.experiments.study.yaml_text import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_VALUES,
    read_yaml,
    write_yaml,
)


def laughs(levels: int) -> str:
    """A list of ten, of ten of it, and so on: 10 ** levels values from a few letters."""
    lists = ["&a0 [x, x, x, x, x, x, x, x, x, x]"]
    lists += [f"&a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return f"[{', '.join(lists)}]"


def merges(levels: int) -> str:
    """Mappings that merge the one before ten times."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


REFUSED = {
    "anchors that expand": (laughs(9), "anchors that expand"),
    "merges that expand": (merges(9), "anchors that expand"),
    "anchors in a chain": (
        "\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 200))]),
        "anchors that expand",
    ),
    "an anchor within itself": ("a: &a [*a]", "holds itself"),
    "deep lists": ("[" * 3000 + "]" * 3000, "levels of nesting"),
    "deep mappings": ("{a: " * 100 + "1" + "}" * 100, "levels of nesting"),
    "deep blocks": ("- " * 100 + "1", "levels of nesting"),
    "long": ("# " + "x" * MAX_LENGTH, "letters"),
    "a date": ("a: 2020-01-02", 'write "2020-01-02"'),
    "a day that is none": ("a: 2020-13-45", 'write "2020-13-45"'),
    "a tag": ("a: !!int x", "the tag !!int"),
    "a harmless tag": ("a: !!str 64", "the tag !!str"),
    "an object": ("a: !!python/object/apply:os.getcwd []", "the tag !!python"),
    "a tag of nobody": ("a: !mine 3", "the tag !mine"),
    "digits": (f"a: {'9' * 5000}", "5,000 digits"),
    "hexadecimal digits": (f"a: 0x{'f' * 5000}", "5,002 digits"),
    "no digits": ("a: 0x_", '"0x_"'),
    "a mapping as a key": ("? {a: 1}\n: 2", "as a key"),
    "a list as a key": ("? [a]\n: 2", "as a key"),
    "on as a key": ("on: 3", 'write "on"'),
    "No as a key": ("a: {No: 3}", 'write "No"'),
    "a number as a key": ("1: 3", 'write "1"'),
    "null as a key": ("~: 3", "is no text"),
    "a date as a key": ("2020-01-02: 3", 'write "2020-01-02"'),
    "a key twice": ("a: {b: 1, b: 2}", "written twice"),
    "octal of YAML 1.1": ("a: 017", 'write 17 or 15, or "017"'),
    "octal of YAML 1.2": ("a: 0o17", 'write 15, or "0o17"'),
    "octal below 0": ("a: -017", 'write -17 or -15, or "-017"'),
    "no octal": ("a: 089", 'write 89, or "089"'),
    "sexagesimal": ("a: 1:30", 'write 90, or "1:30"'),
    "sexagesimal below 0": ("a: -1:30.5", 'write -90.5, or "-1:30.5"'),
    "a zero byte": ("a: \0", "not allowed"),
    "two documents": ("--- 1\n--- 2", "another document"),
    "an unknown anchor": ("a: *b", "undefined alias"),
    "open": ("a: [", "Line 1, column 5"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_one_meaning_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_yaml(text, "STUDY", "s.yaml")
    said = str(caught.value)
    assert words in said
    assert said.startswith("STUDY: got 's.yaml'")
    assert "\n" not in said
    assert len(said) < 1000


READ: dict[str, tuple[str, object]] = {
    "nothing": ("", None),
    "numbers": (
        "[0, -3, 1_000, 0x1F, 0b11, 0.5, 1.5e+3, .inf]",
        [0, -3, 1000, 31, 3, 0.5, 1500.0, float("inf")],
    ),
    "in quotes": (
        """["64", '017', "1:30", "2020-01-02", "on"]""",
        ["64", "017", "1:30", "2020-01-02", "on"],
    ),
    "truth": ("[true, yes, off, null]", [True, True, False, None]),
    "in quotes as a key": ("'on': 3", {"on": 3}),
    "an anchor": ("a: &a [1]\nb: *a", {"a": [1], "b": [1]}),
    "a merge": (
        "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}",
        {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}},
    ),
    "merges": (
        "c: [&a {x: 1}, &b {y: 2}]\nd: {<<: [*a, *b], z: 3}",
        {"c": [{"x": 1}, {"y": 2}], "d": {"x": 1, "y": 2, "z": 3}},
    ),
    "a merge of a merge": (
        "c:\n  - &a {x: 1}\n  - &b {<<: *a, x: 2}\nd: {<<: *b}",
        {"c": [{"x": 1}, {"x": 2}], "d": {"x": 2}},
    ),
    "as deep as may be": ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    "many values": (f"[{', '.join('1' * (MAX_VALUES // 10))}]", [1] * (MAX_VALUES // 10)),
}


@pytest.mark.parametrize(("text", "value"), READ.values(), ids=READ)
def test_what_has_one_meaning_is_read(text: str, value: object) -> None:
    found = read_yaml(text, "STUDY", "s.yaml")
    assert found == value or text.startswith("[[")


LIKE_NUMBERS = st.from_regex(r"[-+]?[0-9_:.oxb]{1,8}", fullmatch=True)
PRINTED = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff\x85")
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | PRINTED | LIKE_NUMBERS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(PRINTED | LIKE_NUMBERS, inner)
)


@given(VALUES, st.booleans())
def test_what_is_written_is_read_as_the_same(value: Any, flow: bool) -> None:
    assert read_yaml(write_yaml(value, flow=flow), "STUDY", "s.yaml") == value


def test_merges_serve_a_study() -> None:
    study = parse_study(
        "name: s\ntimesteps: 5\nworlds: [&w {id: homestead, openness: 1}, {<<: *w, openness: 2}]\n"
    )
    assert [entry.openness for entry in study.worlds] == [[1], [2]]
