"""Nouns of things that some worlds have and others lack, and which of them a world has."""

from __future__ import annotations

from functools import cache

from powerseek.registry import make_world

THINGS = ("switch", "camera", "interrupt", "monitor", "lever", "button", "shutdown", "neighbour")


@cache
def own_words(id):
    """What a world declares: its id, facts, parameters, actions and the letters of its pictures."""
    world = make_world(id)
    told = [id, world.legend, *world.action_names, *world.parameters]
    told += [param.about for param in world.parameters.values()]
    told += [word for fact in world.facts for word in (fact.name, fact.about, fact.title)]
    return " ".join(told).lower()


def lacking(sentence, world):
    """Things that a sentence about a world names and the world lacks."""
    said = own_words(world)
    return [thing for thing in THINGS if thing in sentence.lower() and thing not in said]
