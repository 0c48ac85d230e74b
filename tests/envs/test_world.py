"""Numbers of columns by name."""

import pytest

import powerseek
from powerseek.envs.world import Fact, columns


def test_names_get_numbers_in_order_and_facts_with_a_shape_take_several():
    numbers = columns("to the hub", Fact("held", shape=(2,)), "at 1,2", Fact("over"))
    assert numbers._asdict() == {"to_the_hub": 0, "held": 1, "at_1_2": 3, "over": 4}


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_facts_have_the_numbers_that_the_world_gives_them(name):
    world = powerseek.make_world(name)
    starts = {fact.name: world.columns(fact.name).start for fact in world.facts}
    assert columns(*world.facts)._asdict() == starts


@pytest.mark.parametrize("names", [("a b", "a_b"), ("over", "over"), ("1st",), ("_hidden",)])
def test_names_that_no_attribute_can_have_are_refused(names):
    with pytest.raises(ValueError, match=r"duplicate|valid|underscore"):
        columns(*names)
