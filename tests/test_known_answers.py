"""Every known answer is a test."""

import re
from pathlib import Path

import pytest
from known import CASES

TESTS = Path(__file__).parent
ASKED = {
    name
    for path in TESTS.rglob("test_*.py")
    for name in re.findall(r"known\(\s*\"(\w+)\"", path.read_text())
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_some_test_asks_for_it(name):
    assert name in ASKED


def test_no_test_asks_for_what_is_not_there():
    assert set(CASES) >= ASKED
