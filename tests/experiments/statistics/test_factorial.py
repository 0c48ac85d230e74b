"""Interactions against arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known

from powerseek.errors import InvalidInput
from powerseek.experiments.statistics.factorial import factorial_contrast


def test_threeway_interaction_contrast():
    case = known("threeway_interaction_contrast")
    cells = case.spec["cell_means[density][horizon][bounded]"]
    wanted = case.expected["contrast"]
    # The published number is the first level of density minus the second; ours is the second
    # level of every factor minus the first.
    assert factorial_contrast(cells[::-1]) == pytest.approx(wanted, abs=case.tolerance)
    assert factorial_contrast(cells) == pytest.approx(-wanted, abs=case.tolerance)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_additive_cells_have_no_interaction(parts):
    a, b, c, d = parts
    cells = [[a + c, a + d], [b + c, b + d]]
    assert factorial_contrast(cells) == pytest.approx(0, abs=1e-9)


def test_a_contrast_needs_two_levels():
    with pytest.raises(InvalidInput, match="two levels"):
        factorial_contrast([[1, 2, 3], [1, 2, 3]])
