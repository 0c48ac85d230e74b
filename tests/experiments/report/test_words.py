"""No page of a world names what the world lacks, in text or picture, and none names nothing."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from matplotlib.text import Text
from rich.console import Console
from synthetic import frame, trial_rows
from webpage import Page
from worldwords import lacking

from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.figures.style import LIGHT, Picture
from powerseek.experiments.report.pages import write_report, write_summary
from powerseek.experiments.report.sections import report_pictures, sections
from powerseek.experiments.report.terminal import print_table
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study
from powerseek.metrics import every_metric
from powerseek.registry import list_worlds, make_world, worlds

IDS = [id for id in list_worlds() if id in worlds.builtin]
CLAIM = {"contrast": "timing", "direction": "none", "margin": 0.2}


def made_up(world):
    """Results with every metric of a world, of agents that learn and of known ones."""
    id = world.id
    names = [metric.id for metric in every_metric() if metric.needs.met(world)]
    identity = {"world": id, "openness": 0.0, "max_steps": world.max_steps}
    for seed in range(2):
        for i, reward in enumerate(("dense", "every cap")):
            for gamma in (0.9, 1.0):
                value = dict.fromkeys(names, 0.5 + 0.1 * i) | {"competence": 1.0}
                yield trial_rows(value, reward=reward, gamma=gamma, seed=seed, **identity)
        for agent in ("minimalist", "hoarder"):
            yield trial_rows(dict.fromkeys(names, 0.5), agent=agent, budget=0, **identity)


def study(world, out):
    """A folder with hypotheses about all that can be evaded or taken there."""
    measures = {m.id for m in every_metric() if m.needs.met(world)} & {"disabled", "acquired"}
    keys = {
        "name": "made-up",
        "worlds": [{"id": world.id}],
        "rewards": ["dense", {"every": "cap"}],
        "timesteps": 100,
        "hypotheses": [{**CLAIM, "id": f"of {name}", "measure": name} for name in measures],
    }
    asked = make_study(keys)
    Store(out).open(asked, trials(asked), resume=True)
    return out


@pytest.mark.parametrize("id", IDS)
def test_a_report_names_nothing_that_its_world_lacks(id, tmp_path):
    world = make_world(id)
    world = world.replace(**world.smallest)
    view = View(frame(*made_up(world)), study(world, tmp_path))
    parts = sections(view)
    printed = io.StringIO()
    print_table(view, Console(file=printed, width=200), every=True)
    said = [printed.getvalue(), write_summary(view, parts, tmp_path).read_text("utf-8")]
    bare = []
    for part in parts:
        texts = tuple(shown for shown in part.parts if not isinstance(shown, Picture))
        bare.append(replace(part, parts=texts))
    said += [Page(write_report(view, bare, tmp_path).read_text("utf-8")).words]
    for picture in report_pictures(parts):
        said += [text.get_text() for text in picture.draw(LIGHT).findobj(Text)]
    for words in " ".join(said).split("."):
        assert not lacking(words.replace(id, ""), id), words
        assert not re.search(r"\{\w+\}", words), words
