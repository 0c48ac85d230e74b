"""Maps of homestead drawn by number: the same task, solvable, and refused where time is short."""

from itertools import pairwise

import numpy as np
import pytest

import powerseek
from powerseek.envs import initial_branches
from powerseek.envs.worlds.homestead.layouts import MAP, PLOT, find, least_steps, map_of
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world
from powerseek.exact.need import max_final
from powerseek.exact.solvers.outcome import mdp_success
from powerseek.experiments.study import make_study
from powerseek.experiments.study.grid import expand

LAYOUTS = range(1, 301)
MAP_1 = (".D..P", "FSoW.", ".FCT.")
MAP_LAST = ("F.CTP", "So...", "D.FW.")


def steps(*cells):
    """Steps of a walk by way of cells."""
    return sum(abs(a - c) + abs(b - d) for (a, b), (c, d) in pairwise(cells))


def at(layout, letter):
    return find(map_of(layout), letter)


def test_layout_0_is_the_map_and_others_stay_as_they_are():
    """A map must be the same in every release, and with every version of NumPy."""
    assert map_of(0) == MAP
    assert map_of(1) == MAP_1
    assert map_of(1_000_000) == MAP_LAST


def test_every_map_has_everything_once_and_where_it_belongs():
    for layout in LAYOUTS:
        rows = map_of(layout)
        assert sorted("".join(rows).replace(".", "")) == sorted("DSCFFoTWP")
        assert [len(row) for row in rows] == [5, 5, 5]
        beyond = [{row[column] for row in rows} for column in (PLOT, PLOT + 1)]
        assert beyond == [{"T", "W", "."}, {"P", "."}]


def test_ways_are_those_of_layout_0_or_fields_nearer_to_each_other():
    for layout in (0, *LAYOUTS):
        (depot,), (one, other) = at(layout, "D"), at(layout, "F")
        (route,), (corner,) = at(layout, "S"), at(layout, "C")
        assert steps(depot, one) == steps(depot, other) == 2
        assert steps(one, other) in (2, 4)
        assert min(steps(depot, route, field) for field in (one, other)) == 2
        assert min(steps(depot, corner, field) for field in (one, other)) > 2


def test_capital_is_about_as_far_as_in_layout_0():
    ways = []
    for layout in (0, *LAYOUTS):
        (depot,), (one, other) = at(layout, "D"), at(layout, "F")
        (tool,), (grove,), (producer,) = (at(layout, letter) for letter in "TWP")
        pairs = ((one, other), (other, one))
        by_tool = min(steps(depot, tool, *pair) for pair in pairs)
        by_fields = min(steps(depot, *pair, grove, producer) for pair in pairs)
        ways.append((by_tool, by_fields, steps(depot, grove, producer)))
    assert ways[0] == (8, 9, 5)
    assert tuple(np.min(ways, axis=0)) == (8, 8, 5)


def test_maps_differ_on_the_plot_and_beyond():
    plots = {tuple(row[:PLOT] for row in map_of(layout)) for layout in LAYOUTS}
    assert len({map_of(layout) for layout in LAYOUTS}) > 250
    assert len(plots) > 100
    assert len({at(layout, "D")[0] for layout in LAYOUTS}) == PLOT * PLOT


@pytest.mark.parametrize("switch", ["route", "corner"])
def test_openness_shares_the_plot_and_its_picture_is_the_tiles(switch):
    for layout in range(1, 20):
        worlds = [
            powerseek.make_world("homestead", openness=o, layout=layout, switch=switch)
            for o in (0, 1, 2)
        ]
        tables = [world.tiles(world.params) for world in worlds]
        for world, tiles in zip(worlds, tables, strict=True):
            assert [row[:PLOT] for row in tiles] == list(tables[0])
            assert sum(tile == "switch" for row in tiles for tile in row) == 1
            p = world.prepared
            assert tiles[p.switch_row][p.switch_column] == "switch"
            assert tiles[p.depot_row][p.depot_column] == "depot"
            assert [tiles[i][j] for i, j in p.fields] == ["field", "field"]
            assert ((p.kind > 0) == (np.array(tiles) != "")).all()
            begun = initial_branches(world)[0][0]
            assert (begun["row"], begun["column"]) == (p.depot_row, p.depot_column)
            record = world.records(1)[0]
            record.row, record.column, record.ripe[:] = p.depot_row, p.depot_column, 1
            drawn = world.render(world.params, record).splitlines()[:PLOT]
            assert [line.count("F") for line in drawn] == [row.count("field") for row in tiles]


# --- the least time -----------------------------------------------------------------------------

TASKS = [
    {"openness": 0, "quota": 2},
    {"openness": 0, "quota": 3, "stock_cap": 1},
    {"openness": 1, "quota": 2, "tool_yield": 1.0, "regrowth": 0.0},
    {"openness": 1, "quota": 2, "goal": 1},
    {"openness": 2, "quota": 3, "regrowth": 0.0},
    {"openness": 2, "quota": 1, "spoil": 1.0},  # what the producer ships at the depot
]


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("layout", [2, 9])
def test_the_least_time_is_that_of_the_solved_world(task, layout):
    world = powerseek.make_world("homestead", layout=layout, hazard=0.0, **task)
    mdp = enumerate_world(world)
    least = least_steps(world.params)
    assert max_final(mdp, mdp_success(mdp), least) > 0
    assert max_final(mdp, mdp_success(mdp), least - 1) == 0
    with pytest.raises(InvalidInput, match=rf"homestead\.layout.*this one takes {least} "):
        world.replace(max_steps=least - 1)
    assert world.replace(max_steps=least).max_steps == least


def test_a_quota_that_no_time_would_do_is_no_fault_of_the_layout():
    """As at layout 0: two fields that never ripen again give two units."""
    barren = {"openness": 0, "regrowth": 0.0, "quota": 3}
    for layout in (0, 1):
        world = powerseek.make_world("homestead", layout=layout, **barren)
        assert least_steps(world.params) is None


def test_a_study_is_refused_before_its_first_trial():
    world = {"id": "homestead", "params": {"layout": [0, 1], "max_steps": 7}}
    with pytest.raises(InvalidInput, match=r"layout: got 1.*Write max_steps: 8 or more"):
        expand(make_study({"name": "short", "worlds": [world], "timesteps": 2048}))
