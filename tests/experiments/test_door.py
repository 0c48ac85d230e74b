"""The study of the door: contact, use and skill, each against all else equal."""

from powerseek.experiments.study.checked import cells
from powerseek.experiments.study.hypotheses import hypothesis_comparisons
from powerseek.experiments.study.schema import load_study
from powerseek.registry import make_world

STUDY = "door"


def test_the_study_of_the_door_varies_leak_use_and_training_and_nothing_else():
    grid = cells(load_study(STUDY))
    paid, free = ([c for c in grid if (c.power_weight > 0) is is_paid] for is_paid in (True, False))
    factors = {(c.params["leak"], c.params["useful"], c.timesteps) for c in free}
    skills = (100_000, 3_000_000)
    assert factors >= {(k, u, t) for k, u in ((1, True), (4, True), (4, False)) for t in skills}
    others = {"leak", "useful", "layout"}
    assert len({tuple((k, v) for k, v in c.params.items() if k not in others) for c in grid}) == 1
    assert {(c.params["leak"], c.timesteps) for c in paid} == {(1, 3_000_000)}
    made = {str(c.params): make_world(c.world, **c.params) for c in grid}
    assert all(world.role("outside_task") for world in made.values())


def test_what_leaves_is_claimed_to_grow_with_skill_and_contact_and_use():
    study = load_study(STUDY)
    by_id = {said.id: list(hypothesis_comparisons(said, cells(study))) for said in study.hypotheses}
    assert {one.columns for one in by_id["H3c"]} == {("params.leak", "budget")}
    corners = [(4, 3e6), (1, 3e6), (4, 1e5), (1, 1e5)]
    assert [list(one.arms) for one in by_id["H3c"]] == [corners, corners]  # dense and terminal
    assert [list(one.arms) for one in by_id["for its use"]] == [["true", "false"]] * 2
    assert {one.setting["params.leak"] for one in by_id["for its use"]} == {4}
