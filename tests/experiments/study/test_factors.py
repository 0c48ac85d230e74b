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
