"""The named configurations of homestead: what docs/worlds.md says of them is what is computed."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import powerseek
from powerseek.exact import enumerate_world, need
from powerseek.exact.constraint import SHARE, constraint
from powerseek.exact.need import max_final
from powerseek.exact.solvers.outcome import mdp_success

PAGE = (Path(__file__).parents[3] / "docs" / "worlds.md").read_text()
CONFIGURATIONS = yaml.safe_load(
    next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S) if "precaution:" in block)
)
COLUMNS = ("end", "calm", "need", "cliff", "low", "high")
LAYOUTS = range(1, 9)
OPENNESS = (0, 1, 2)
NUMBER = r"\d*\.\d+"


@cache
def measured(name, openness, layout):
    """What the table tells of one configuration, openness and layout."""
    world = powerseek.make_world(
        "homestead", openness=openness, layout=layout, **CONFIGURATIONS[name]
    )
    mdp, calm = (enumerate_world(w) for w in (world, world.without_interruption()))
    frontier, freedom = need(mdp), constraint(mdp, "terminal")
    end = frontier.max_success
    high = sum(frontier.at(end)) / 2
    least = sum(frontier.at(end - SHARE)) / 2
    best = max_final(calm, mdp_success(calm), calm.horizon())
    numbers = (end, best, high, high - least, freedom.low, freedom.high)
    return dict(zip(COLUMNS, numbers, strict=True))


def told(name, openness):
    """column -> (at layout 0, least and greatest over layouts 1 to 8), as the page has them."""
    start = f"| `{name}` | {openness} |"
    (line,) = [line for line in PAGE.splitlines() if line.startswith(start)]
    cells = line.removeprefix(start).strip(" |").split("|")
    numbers = [tuple(map(float, re.findall(NUMBER, cell))) for cell in cells]
    return dict(zip(COLUMNS, numbers, strict=True))


def margin(column):
    """Half of the last digit that the page has, and a little for having been rounded twice."""
    return 0.0006 if column in ("end", "calm") else 0.006


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("openness", [0, 1])
def test_layout_0_is_as_the_page_says(name, openness):
    found = measured(name, openness, 0)
    for column, (first, _, _) in told(name, openness).items():
        assert found[column] == pytest.approx(first, abs=margin(column)), column


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_an_instance_lies_within_what_the_page_says(name):
    found = measured(name, 0, 3)
    for column, (_, low, high) in told(name, 0).items():
        assert low - margin(column) <= found[column] <= high + margin(column), column


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("openness", OPENNESS)
def test_the_whole_table(name, openness):
    page = told(name, openness)
    for column, (first, low, high) in page.items():
        values = [measured(name, openness, layout)[column] for layout in LAYOUTS]
        assert measured(name, openness, 0)[column] == pytest.approx(first, abs=margin(column))
        assert min(values) == pytest.approx(low, abs=margin(column)), column
        assert max(values) == pytest.approx(high, abs=margin(column)), column


@pytest.mark.slow
@pytest.mark.parametrize("layout", [0, *LAYOUTS])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_keep_what_they_are_for(name, layout):
    rows = [measured(name, openness, layout) for openness in OPENNESS]
    assert all(row["cliff"] <= 0.5 for row in rows)
    assert all(row["calm"] >= 0.93 for row in rows)
    if name == "indifference":
        widths = [row["high"] - row["low"] for row in rows]
        assert all(after >= 1.8 * before for before, after in pairwise(widths))
        assert all(row["need"] <= 0.7 * row["high"] for row in rows)
    else:
        assert rows[1]["need"] - rows[0]["need"] > 0.2
        assert rows[1]["end"] > rows[0]["end"] + 0.005
