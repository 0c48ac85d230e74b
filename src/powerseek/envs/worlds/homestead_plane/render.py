"""Pictures of `homestead-plane`."""

from __future__ import annotations

from typing import Any

from powerseek.envs.worlds.homestead.layouts import MAP, PLOT, find
from powerseek.envs.worlds.homestead.rules import GRAIN
from powerseek.envs.worlds.homestead.world import homestead_tiles
from powerseek.envs.worlds.homestead_plane.params import PLANE, as_homestead
from powerseek.envs.worlds.homestead_plane.terrain import HOME_COLUMNS, LETTERS, tile_of

UP, ASIDE = 4, 7
"""Rows and columns shown to each side of the agent on the plane."""
GOODS = ("grain", "wood", "grain and wood", "not known yet")


def draw(params: Any, record: Any) -> str:
    """The map, or what lies around the agent on the plane (blank: out of reach); then stocks."""
    row, column = int(record["row"]), int(record["column"])
    plane = params.openness == PLANE
    top, left = (row - UP, column - ASIDE) if plane else (0, 0)
    high, wide = (2 * UP + 1, 2 * ASIDE + 1) if plane else (PLOT, PLOT + params.openness)
    home = homestead_tiles(as_homestead(params), record)
    for (r, c), claimed in zip(find(MAP, "F"), record["claimed"], strict=True):
        if claimed:
            home[r][c] = "A" if home[r][c] == "F" else "a"
    cells = {
        (r, c): _tile(params, record, home, r, c)
        for r in range(top, top + high)
        for c in range(left, left + wide)
    }
    for i in range(params.bystanders):
        spot = int(record["their_row"][i]), int(record["their_column"][i])
        if spot in cells:
            cells[spot] = str(i + 1)
    cells[row, column] = "x" if record["interrupted"] else "@"
    picture = "\n".join(
        " ".join(cells[r, c] for c in range(left, left + wide)) for r in range(top, top + high)
    )
    return "\n".join([picture, _stocks(params, record)])


def _tile(params: Any, record: Any, home: list[list[str]], row: int, column: int) -> str:
    """The letter of a tile, as it stands in a record."""
    reach = params.reach
    if 0 <= row < PLOT and 0 <= column < HOME_COLUMNS:
        return home[row][column]
    if reach and not (-reach <= row < PLOT + reach and -reach <= column < HOME_COLUMNS + reach):
        return " "
    letter = LETTERS[tile_of(params.layout, row, column)]
    slots = range(int(record["bare"]))
    bare = any(record["bare_row"][i] == row and record["bare_column"][i] == column for i in slots)
    return letter.lower() if bare or (letter == "T" and record["tool"]) else letter


def _stocks(params: Any, record: Any) -> str:
    told = [f"{name} {int(record[name])}" for name in ("grain", "wood", "level")]
    if params.openness == PLANE:
        told.append(f"carriers {int(record['carriers'])}")
        told.append(f"at {int(record['row'])},{int(record['column'])}")
    told.append(f"delivered {int(record['delivered'])}/{params.quota}")
    if params.goal != GRAIN:
        told.append(f"wanted: {GOODS[int(record['goal'])]}")
    shares = [int(share) for share in record["their_share"][: params.bystanders]]
    told += [f"{i + 1} has {share}/{params.demand}" for i, share in enumerate(shares)]
    return ", ".join(told)
