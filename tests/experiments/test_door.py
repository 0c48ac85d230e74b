"""The study of the door: leak by leak, with what it must be read against."""

from pathlib import Path

from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.schema import load_study
from powerseek.registry import make_world

STUDY = Path(__file__).parents[2] / "docs" / "studies" / "door.yaml"


def test_the_study_of_the_door_varies_the_leak_and_nothing_else():
    grid = cells(load_study(STUDY))
    paid, free = ([c for c in grid if (c.power_weight > 0) is is_paid] for is_paid in (True, False))
    dials = {(c.params["leak"], c.params["useful"]) for c in free if c.reward == "dense"}
    assert dials >= {(0, True), (1, True), (2, True), (4, True), (4, False)}
    others = {"leak", "useful", "openness"}
    assert len({tuple((k, v) for k, v in c.params.items() if k not in others) for c in grid}) == 1
    assert [(c.params["leak"], c.params["useful"]) for c in paid] == [(2, False)]
    for cell in grid:
        world = make_world(cell.world, **cell.params)
        assert bool(world.role("outside_task")) is (cell.params["leak"] > 0)
