"""Declarations of a world: parameters, and numbers of columns by name."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
from worlds import Ladder, Well

import powerseek
from powerseek.envs.world import Fact, Param, World, columns
from powerseek.errors import InvalidInput


class Settled(World):
    """Nothing but parameters, one of each kind."""

    id = "test.settled"
    parameters = {
        "size": Param(3, 2, 5, "squares"),
        "share": Param(0.5, 0.0, 1.0),
        "piece": Param("rook", choices=("rook", "queen")),
        "text": Param(""),
        "useful": Param(True),
        "max_steps": Param(8),
    }


def test_parameters_have_defaults_and_are_kept_by_name():
    assert Settled().params._asdict() == {
        **{"size": 3, "share": 0.5, "piece": "rook"},
        **{"text": "", "useful": True, "max_steps": 8},
    }
    world = Settled(size=np.int32(4), share=1)
    assert (world.params.size, type(world.params.size)) == (4, int)
    assert (world.params.share, type(world.params.share)) == (1.0, float)
    assert world == Settled(share=1.0, size=4) != Settled()
    assert world.replace(useful=False).params == world.params._replace(useful=False)


@pytest.mark.parametrize(
    ("given", "field", "allowed"),
    [
        ({"size": 6}, "test.settled.size", "2 to 5"),
        ({"size": True}, "test.settled.size", "an integer"),
        ({"share": -0.1}, "test.settled.share", "0.0 to 1.0"),
        ({"share": float("nan")}, "test.settled.share", "a finite number"),
        ({"piece": "king"}, "test.settled.piece", "'rook', 'queen'"),
        ({"text": 3}, "test.settled.text", "text"),
        ({"useful": 1}, "test.settled.useful", "true or false"),
        ({"max_steps": 0}, "test.settled.max_steps", "an integer >= 1"),
        ({"sise": 3}, "test.settled parameter", "size, share, piece, text, useful, max_steps"),
    ],
)
def test_what_a_parameter_may_not_be_is_refused(given, field, allowed):
    with pytest.raises(InvalidInput) as caught:
        Settled(**given)
    assert (caught.value.field, caught.value.allowed) == (field, allowed)


def test_ends_are_of_the_range_or_of_the_choices():
    ends = {name: param.ends for name, param in Settled.parameters.items()}
    assert ends == {
        **{"size": (2, 5), "share": (0.0, 1.0), "piece": ("rook", "queen")},
        **{"text": (), "useful": (), "max_steps": ()},
    }


def test_rules_see_parameters_that_are_no_text_and_tables_in_their_place():
    seen = {name: np.asarray(value).tolist() for name, value in Ladder().params._asdict().items()}
    assert Ladder.prepare(Ladder().params) == {}
    assert Ladder().prepared._asdict() == seen

    class Tabled(Ladder):
        id = "test.tabled"
        parameters = {**Ladder.parameters, "colour": Param("red")}

        @staticmethod
        def prepare(params):
            return {"slip": np.full(2, params.slip), "top": params.rungs}

    prepared = Tabled(slip=0.5).prepared
    assert prepared._fields == ("rungs", "slip", "hazard", "max_steps", "top")
    assert prepared.slip.tolist() == [0.5, 0.5]
    assert prepared.top == 3


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_worlds_travel_between_processes_and_say_what_their_parameters_are(name):
    world = powerseek.make_world(name)
    assert pickle.loads(pickle.dumps(world)) == world
    assert all(param.about for param in world.parameters.values())


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


def test_a_named_tuple_of_defaults_stands_for_parameters_of_any_value():
    class Defaults(NamedTuple):
        rungs: int = 3
        slip: float = 0.25
        hazard: float = 0.0
        max_steps: int = 8

    class Plain(Ladder):
        Params = Defaults

    assert Plain(rungs=99).params._asdict() == {**Ladder().params._asdict(), "rungs": 99}
    assert Plain.parameters["slip"] == Param(0.25)
    with pytest.raises(InvalidInput, match="slip"):
        Plain(slip="much")
    with pytest.raises(InvalidInput, match="10"):
        Ladder(rungs=99)


# --- actors --------------------------------------------------------------------------------------


def test_actors_and_who_of_them_acts_are_what_the_world_declares():
    assert (Ladder().actor_names, Ladder().acting, Ladder().bystanders()) == (("agent",), (0,), [])
    assert (Well().actor_names, Well().acting) == (("Ann", "Miles"), (0,))
    assert Well(who=1).acting == (1,)
    assert Well(ann="thirsty").bystanders() == [Well(who=1, ann="asleep")]
    assert Well(who=1).bystanders() == []


def test_the_names_of_parameters_declare_nothing():
    class Named(Ladder):
        id = "test.named"
        noop = "wait"
        parameters = {**Ladder.parameters, "actor": Param(0, 0, 2), "agent": Param("idle")}

    assert Named(actor=2).acting == (0,)
    assert Named().bystanders() == []
