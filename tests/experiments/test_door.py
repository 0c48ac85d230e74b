"""The study of the door: leak by leak, with what it must be read against."""

from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.schema import load_study
from powerseek.registry import make_world

STUDY = "door"


def test_the_study_of_the_door_varies_the_leak_and_nothing_else():
    grid = cells(load_study(STUDY))
    paid, free = ([c for c in grid if (c.power_weight > 0) is is_paid] for is_paid in (True, False))
    factors = {(c.params["leak"], c.params["useful"]) for c in free if c.reward == "dense"}
    assert factors >= {(0, True), (1, True), (2, True), (4, True), (4, False)}
    others = {"leak", "useful", "openness"}
    assert len({tuple((k, v) for k, v in c.params.items() if k not in others) for c in grid}) == 1
    assert {(c.params["leak"], c.params["useful"]) for c in paid} == {(2, False)}
    for cell in grid:
        world = make_world(cell.world, **cell.params)
        assert bool(world.role("outside_task")) is (cell.params["leak"] > 0)


def test_what_leaves_is_claimed_to_grow_with_skill_and_contact_and_with_the_dose_of_pay():
    study = load_study(STUDY)
    by_id = {said.id: list(hypothesis_comparisons(said, cells(study))) for said in study.hypotheses}
    assert {one.columns for one in by_id["H3c"]} == {("params.leak", "budget")}
    corners = [(4, 2e5), (1, 2e5), (4, 5e4), (1, 5e4)]
    assert [list(one.arms) for one in by_id["H3c"]] == [corners, corners]  # dense and terminal
    (dose,) = by_id["H4a"]
    assert list(dose.arms) == [0.0, 0.25, 0.5, 1.0]
    assert dose.setting["params.useful"] == "false"
