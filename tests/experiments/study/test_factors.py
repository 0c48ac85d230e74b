"""A setting in words."""

from __future__ import annotations

from math import nan

from powerseek.experiments.study.factors import factors_in_words


def test_a_setting_in_words():
    words = factors_in_words(
        {"reward": "dense", "goal": 0, "gamma": 0.9, "openness": nan},
        ["reward", "goal", "openness", "gamma"],
    )
    assert words == "dense, goal 0, gamma 0.9"


def test_a_default_that_goes_without_saying_is_left_out():
    names = ["reward", "power_weight", "gamma", "agent"]
    usual = {"reward": "dense", "power_weight": 0.0, "gamma": 1.0, "agent": "cohort-ppo"}
    assert factors_in_words(usual, names) == "dense, gamma 1"
    other = usual | {"power_weight": 1.0, "agent": "maskable-ppo"}
    assert factors_in_words(other, names) == "dense, w 1, gamma 1, agent maskable-ppo"
