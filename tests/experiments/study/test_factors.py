"""A setting in words."""

from __future__ import annotations

from math import nan

import pandas as pd

from powerseek.experiments.study.factors import factors_in_words, goes_along, telling_factors


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


def test_a_setting_that_another_factor_tells_is_left_out_of_names() -> None:
    table = pd.DataFrame(
        [
            # Two agents that differ in width by size, and one width besides at the greater size.
            {"world": "w", "agent": "a", "params.size": size, "budget": size * 1000, **settings}
            for size, settings in [
                (3, {"settings.net": 64, "settings.rate": 0.1, "settings.envs": 8}),
                (4, {"settings.net": 128, "settings.rate": 0.2, "settings.envs": 8}),
                (4, {"settings.net": 256, "settings.rate": 0.2, "settings.envs": 16}),
            ]
        ]
    )
    names = list(table.columns[2:])
    assert goes_along(table, names) == {
        "budget": "params.size",
        "settings.rate": "params.size",
        "settings.envs": "settings.net",
    }
    told = telling_factors(table, names)
    assert told == ["params.size", "settings.net"]
    assert len(table[told].drop_duplicates()) == len(table)
    # What a world itself says is never left out, though it be told by another.
    assert telling_factors(table.assign(openness=table["params.size"]), ["openness", *names]) == [
        "openness",
        "params.size",
        "settings.net",
    ]
