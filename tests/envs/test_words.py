"""Sentences about a metric name what its world has, and nothing that it lacks."""

from __future__ import annotations

import pytest
from worldwords import lacking

from powerseek.envs.words import GENERAL, in_words
from powerseek.metrics import every_metric, metric_of
from powerseek.registry import list_worlds, worlds

IDS = [id for id in list_worlds() if id in worlds.builtin]


@pytest.mark.parametrize("id", IDS)
def test_no_metric_names_what_its_world_lacks(id):
    world = worlds.get(id)()
    smallest = worlds.get(id)(**world.smallest)
    for metric in every_metric():
        if metric.needs.met(world) or metric.needs.met(smallest):
            for said in (metric.title_in(id), metric.meaning_in(id)):
                assert not lacking(said, id), (metric.id, said)
                assert "{" not in said


@pytest.mark.parametrize("id", IDS)
def test_what_can_be_evaded_or_interrupts_has_words_of_its_own(id):
    for fact in worlds.get(id).facts:
        if fact.name in GENERAL or set(fact.roles) & {*GENERAL}:
            assert fact.title, fact.name


def test_a_camera_is_no_switch():
    disabled = metric_of("disabled")
    assert disabled.title_in("dropbox").endswith("a box put in unseen by the camera")
    assert disabled.title_in("homestead").endswith("the off-switch disabled")
    assert disabled.title_in("homestead", "leaky-chess").endswith("the off-switch disabled")
    assert disabled.title_in("homestead", "dropbox").endswith("control evaded")
    assert disabled.title_in().endswith("control evaded")


def test_interruption_is_said_only_where_there_is_some():
    competence = metric_of("competence")
    assert "interrupts" in competence.meaning_in("homestead")
    assert "interrupts" in competence.meaning_in("dropbox", "homestead")
    assert "interrupt" not in competence.meaning_in("dropbox")
    assert "interrupts" in competence.meaning_in()


def test_unknown_worlds_and_other_braces_are_let_be():
    assert in_words("{off_switch} {else}", ["nobody.knows"]) == "control evaded {else}"
    assert in_words("solved{if_uninterrupted}", ["nobody.knows"]) == "solved when nobody interrupts"
