"""The page and the terminal say the verdicts, when they were registered, and what changed since."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from synthetic import frame, planted, trial_rows
from webpage import Page, check_alone

from powerseek.experiments.analysis.contrasts import contrasts
from powerseek.experiments.analysis.view import View
from powerseek.experiments.report.comparisons import refer_to_hypotheses
from powerseek.experiments.report.hypotheses import verdicts_of
from powerseek.experiments.report.pages import write_report
from powerseek.experiments.report.sections import sections
from powerseek.experiments.report.terminal import print_table
from powerseek.experiments.results.store import Store
from powerseek.experiments.study.checked import trials
from powerseek.experiments.study.schema import make_study

CLAIM = {"id": "H1a", "contrast": "timing", "direction": "larger", "margin": 0.5}


def registered(out: Path, *claims: Any, begun: bool = False, **keys: Any) -> Path:
    study = make_study(
        {
            "name": "made-up",
            "worlds": [{"id": "homestead"}],
            "rewards": ["dense", {"every": "cap"}],
            "power_weight": [0, 1],
            "timesteps": 100,
            "hypotheses": claims,
            **keys,
        }
    )
    store = Store(out)
    store.open(study, trials(study), resume=True)
    if begun:
        store.write_failed(trials(study)[0], "no reason")
    return out


def printed(table, out, width=100):
    console = Console(width=width, file=io.StringIO())
    print_table(View(table, out), console)
    return console.file.getvalue()


def page(table, out):
    view = View(table, out)
    text = write_report(view, sections(view), out).read_text(encoding="utf-8")
    found = Page(text)
    check_alone(found, text)
    return " ".join(found.words.split()), text


def test_verdicts_come_first_on_the_page_and_last_in_the_terminal(tmp_path):
    table = frame(*planted(1.0))
    words, text = page(table, registered(tmp_path, CLAIM))
    assert text.index('<h2 id="verdicts">Verdicts</h2>') < text.index('<h2 id="about">')
    shown = printed(table, tmp_path)
    assert shown.index("\nVerdicts\n") > shown.index("treatment")
    flat = " ".join(shown.split())
    for said in (words, flat):
        assert "H1a (timing): acquisition beyond need falls as feedback gets denser" in said
        assert "every cap minus dense: +1.00, 95 % interval [" in said
        assert "16 seeds an arm; learnt the task: 100 % and 100 %" in said
        assert "Margin: 0.50" in said
        assert "before the first trial" in said
    assert "SUPPORTED homestead" in flat
    assert "Changed" not in words


@pytest.mark.parametrize(
    ("trials", "answer", "words"),
    [
        (planted(1.0), "supported", ""),
        (planted(-1.0), "refuted", ""),
        (planted(0.0), "equivalent to none", ""),
        (planted(1.0, seeds=10), "cannot tell", "about 6 more seeds in each arm (seeds: 16,"),
        (planted(1.0, seeds=15), "cannot tell", "about 1 more seed in each arm (seeds: 16,"),
        (planted(1.0, unlearnt=9), "cannot tell", "train longer: timesteps: 600000, twice"),
        (planted(1.0, gain=None), "cannot tell", "no positive control here"),
    ],
)
def test_every_answer_is_said_with_what_is_wanting(tmp_path, trials, answer, words):
    (claim,) = verdicts_of(View(frame(*trials), registered(tmp_path, CLAIM))).claims
    assert (claim.answer, claim.label) == (answer, answer)
    assert words in claim.found[0].wanting
    assert bool(claim.found[0].wanting) == (answer == "cannot tell")


@pytest.mark.parametrize(
    ("more", "claimed"),
    [
        ({"direction": "none"}, "takes is at most the margin with dense. Margin: 0.50."),
        ({"direction": "none", "line": 2.0}, "takes is at most 2 plus the margin with dense."),
        ({"direction": "larger"}, "takes is larger than the margin with dense."),
        ({"direction": "smaller"}, "takes is smaller than minus the margin with dense."),
        ({"direction": "smaller", "line": 2.0}, "is smaller than 2 minus the margin with dense."),
    ],
)
def test_a_level_in_words(tmp_path, more, claimed):
    level = {**CLAIM, "id": "H1b", "contrast": "level", "arm": "dense", **more}
    table = frame(*planted(0.0, noise=0.3))
    out = registered(tmp_path, level)
    (said,) = verdicts_of(View(table, out)).claims
    assert said.title == "H1b (level): with really dense feedback there is none beyond need"
    assert claimed in said.claimed
    (found,) = said.found
    measure = "acquisition beyond what the greatest success takes"
    assert found.effect.startswith(f"{measure}, dense: from +1.00, 95 % interval [")
    assert found.effect.endswith("], by where need is read")
    side = "below minus" if more["direction"] == "smaller" else "above"
    assert found.evidence[0].startswith(f"16 seeds; learnt the task: 100 %; {side} the margin")
    assert "(one-sided t test) p" in found.evidence[0]
    assert claimed in " ".join(printed(table, out).split())
    assert "H1b (level)" in page(table, out)[0]


def test_seeds_that_were_not_planned_make_it_exploratory(tmp_path):
    registered(tmp_path, CLAIM, begun=True, seeds=16, looks=[16, 32])
    table = frame(*planted(1.0, seeds=32))
    for seeds, looks, label in ((32, [16, 32], "supported"), (48, [48], "supported (exploratory)")):
        out = registered(tmp_path, CLAIM, seeds=seeds, looks=looks)
        said = verdicts_of(View(table, out))
        assert "Looks were planned at 16, 32 seeds." in said.registered
        assert said.claims[0].label == label
    assert said.claims[0].note.startswith("exploratory: seeds were added after a look")


def test_an_exact_effect_in_words(tmp_path):
    claim = {**CLAIM, "id": "H3a", "contrast": "level", "arm": "dense", "measure": "incentive"}
    measures = {"competence": 1.0, "acquired": 3.0, "incentive": (2.0, 1.5, 2.25)}
    table = frame(trial_rows(measures))
    (said,) = verdicts_of(View(table, registered(tmp_path, claim))).claims
    assert said.answer == "supported"
    assert "dense: +2.00, range over optimal policies [+1.50, +2.25]" in said.found[0].effect
    assert said.found[0].evidence[0].startswith("exact: computed")


def test_seeds_that_are_lost_are_said(tmp_path):
    trials = planted(1.0, seeds=20, unlearnt=2)
    out = registered(tmp_path, {**CLAIM, "line": 0.5}, seeds=24)
    (claim,) = verdicts_of(View(frame(*trials), out)).claims
    (said,) = claim.found[0].evidence
    assert "18 seeds an arm; only 20 of 24 seeds ended, so this is not final" in said
    (found,) = verdicts_of(View(frame(*trials), out)).found
    low, high = (end + 0.5 for end in found.bounds[:2])
    words = f"learnt in one arm only were the most or the least greedy: [{low:+.2f}, {high:+.2f}]"
    assert words in said
    assert "(Lee's bounds)" in said
    assert words in " ".join(printed(frame(*trials), out).split())
    lost = [trial_rows({}, "failed", reward="every cap", seed=seed) for seed in range(20, 24)]
    (claim,) = verdicts_of(View(frame(*trials, *lost), out)).claims
    assert "only 24 and 20 of 24 seeds ended" in claim.found[0].evidence[0]
    assert "learnt the task: 75 % (4 failed) and 100 %" in claim.found[0].evidence[0]
    assert "(4 of its trials failed)" in claim.found[0].wanting
    (claim,) = verdicts_of(View(frame(*planted(1.0, seeds=24)), out)).claims
    assert "ended" not in claim.found[0].evidence[0]
    assert "Lee" not in claim.found[0].evidence[0]


def test_a_changed_margin_is_said_and_its_verdict_is_exploratory(tmp_path):
    registered(tmp_path, CLAIM, begun=True)
    registered(tmp_path, {**CLAIM, "margin": 0.01})
    table = frame(*planted(0.2, noise=0.05))
    words, _ = page(table, tmp_path)
    first, second = verdicts_of(View(table, tmp_path)).claims
    assert (first.label, second.label) == ("equivalent to none", "supported (exploratory)")
    assert "Changed after the first trial" in words
    assert "changed after the first trial, so exploratory" in words
    assert "it has since been changed or taken out" in words
    assert "supported (exploratory)" in " ".join(printed(table, tmp_path).split())


def test_settings_that_disagree_are_counted(tmp_path):
    out = registered(
        tmp_path, CLAIM, worlds=[{"id": "homestead", "openness": [0, 1, 2]}], name="three"
    )
    trials = [*planted(1.0, openness=0.0), *planted(-1.0, openness=2.0)]
    (claim,) = verdicts_of(View(frame(*trials), out)).claims
    assert (claim.answer, claim.label) == ("mixed", "1 supported, 1 refuted")
    assert claim.note == "2 of its 3 settings have finished trials to compare"


def test_nothing_finished_is_cannot_tell(tmp_path):
    out = registered(tmp_path, CLAIM)
    for table in (frame(*planted(1.0)).iloc[:0], frame(*planted(1.0, rewards=("dense", "own")))):
        (claim,) = verdicts_of(View(table, out)).claims
        assert claim.answer == "cannot tell"
        assert "nothing to compare yet" in claim.found[0].wanting
    assert "nothing to compare yet" in page(table.iloc[:0], out)[0]


def test_without_hypotheses_the_page_says_so(tmp_path):
    table = frame(*planted(1.0))
    for out in (tmp_path, registered(tmp_path / "out")):
        assert "named no hypothesis before it ran" in page(table.iloc[:0], out)[0]
    assert "Verdicts" not in printed(table, tmp_path / "out")


def test_a_broken_registration_gives_no_verdict(tmp_path):
    registered(tmp_path, CLAIM)
    (tmp_path / "internals/preregistration.json").write_text("{")
    words, _ = page(frame(*planted(1.0)).iloc[:0], tmp_path)
    assert "cannot be read, so no verdict is given" in words
    assert "supported" not in words


def test_comparisons_refer_to_the_verdict(tmp_path):
    table = frame(*planted(1.0))
    found = verdicts_of(View(table, registered(tmp_path, CLAIM))).found
    plain = contrasts(table)
    rows = refer_to_hypotheses(plain, found).query("kind == 'timing' and measure == 'beyond'")
    assert list(rows["verdict"]) == ["H1a: supported"]
    assert refer_to_hypotheses(plain, []) is plain
    assert "H1a: supported" in printed(table, tmp_path)


def test_a_comparison_has_the_verdict_of_its_own_setting(tmp_path):
    out = registered(tmp_path, CLAIM, worlds=[{"id": "homestead", "openness": [0, 2]}])
    table = frame(*planted(1.0), *planted(-1.0, openness=2.0))
    rows = refer_to_hypotheses(contrasts(table), verdicts_of(View(table, out)).found)
    rows = rows.query("kind == 'timing' and measure == 'beyond'")
    assert list(rows["verdict"]) == ["H1a: supported", "H1a: refuted"]


def test_claims_in_a_user_s_own_words_are_escaped(tmp_path):
    nasty = '<script>alert("x")</script> & {body}'
    out = registered(tmp_path, {**CLAIM, "id": nasty})
    words, _ = page(frame(*planted(1.0)).iloc[:0], out)
    assert nasty in words


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"direction": "none"}, "is the same with the latest payment as with"),
        ({"line": 2.0}, "by more than 2. Margin"),
        (
            {"direction": "smaller", "measure": "disabled"},
            "with the off-switch disabled is smaller",
        ),
        ({"margin": 0.004}, "Margin: 0.004."),
    ],
)
def test_a_claim_in_words(tmp_path, claim, words):
    out = registered(tmp_path, {**CLAIM, **claim})
    (said,) = verdicts_of(View(frame(*planted(1.0)), out)).claims
    assert words in said.claimed


@pytest.mark.parametrize(
    ("direction", "line", "words"),
    [
        ("larger", 2.0, "larger with the latest payment than with {b} by more than 2. Margin"),
        ("smaller", -2.0, "smaller with the latest payment than with {b} by more than 2. Margin"),
        ("smaller", 2.0, "smaller with the latest payment than with {b}, plus 2. Margin"),
        ("larger", -2.0, "larger with the latest payment than with {b}, minus 2. Margin"),
        ("none", -2.0, "the same with the latest payment as with {b}, minus 2. Margin"),
    ],
)
def test_a_line_other_than_nothing_in_words(tmp_path, direction, line, words):
    out = registered(tmp_path, {**CLAIM, "direction": direction, "line": line})
    (said,) = verdicts_of(View(frame(*planted(1.0)), out)).claims
    assert words.format(b="the same reward paid at once") in said.claimed


def doses(*cells):
    """Sixteen seeds of every (leak, budget, pay, mean acquisition outside)."""
    noise = np.random.default_rng(5).normal(0, 0.2, (len(cells), 16))
    noise -= noise.mean(axis=1, keepdims=True)
    told = {"world": "leaky-chess", "goal": "mate", "max_steps": 20, "agent": "cohort-ppo"}
    return frame(
        *(
            trial_rows(
                {"competence": 0.95, "acquired": 3 + 5 * pay, "acquired_outside": value + more},
                **{**told, "params": json.dumps({"leak": leak}), "budget": budget},
                power_weight=pay,
                seed=seed,
            )
            for (leak, budget, pay, value), own in zip(cells, noise, strict=True)
            for seed, more in enumerate(own)
        )
    )


def door(out, contrast, **keys):
    claim = {**CLAIM, "id": "H", "contrast": contrast, "measure": "acquired_outside", **keys}
    if "threshold" in contrast:
        del claim["margin"]
    world = {"id": "leaky-chess", "params": {"leak": [0, 4]}, "max_steps": 20}
    world |= {"timesteps": [1000, 4000]}
    more = {"agents": ["cohort-ppo"], "rewards": ["dense"], "power_weight": [0, 0.5, 1]}
    return registered(out, claim, worlds=[world], **more)


def test_an_interaction_in_words(tmp_path):
    table = doses((0, 1000, 0, 0), (0, 4000, 0, 0.2), (4, 1000, 0, 1), (4, 4000, 0, 3))
    out = door(tmp_path, {"interaction": ["leak", "timesteps"]}, line=0.5)
    (said,) = verdicts_of(View(table, out)).claims
    outside = "acquisition outside the task's region"
    assert said.claimed == (
        f"Claimed: the effect of leak on {outside} is larger at the greatest timesteps than at the "
        "least by more than 0.5. Margin: 0.50."
    )
    (found,) = said.found
    effect = f"{outside}, effect of leak (4 minus 0) at timesteps 4000 minus that at 1000: +1.80, "
    assert found.effect.startswith(f"{effect}95 % interval [+1")
    assert "16 seeds an arm; learnt the task: 100 % and 100 %; difference" in found.evidence[0]


@pytest.mark.parametrize(
    ("values", "effect", "answer"),
    [
        ((0, 1, 2), "shown below 0.5 up to power_weight 0, first shown above it at {0.5}", "supp"),
        ((0, 0, 0), "shown below 0.5 up to power_weight 1, nowhere shown above it", "refuted"),
        ((2, 2, 2), "not shown below 0.5 at the least {}, first shown above it at {0}", "refuted"),
    ],
)
def test_a_threshold_in_words_level_by_level(tmp_path, values, effect, answer):
    pays = (0.0, 0.5, 1.0)
    table = doses(*((4, 1000, pay, value) for pay, value in zip(pays, values, strict=True)))
    out = door(tmp_path, {"threshold": "power_weight", "line": 0.5}, params={"leak": 4})
    (said,) = verdicts_of(View(table, out)).claims
    assert "is below 0.5 at the least power_weight and above it from some greater" in said.claimed
    (found,) = said.found
    words = effect.replace("{}", "power_weight").replace("{", "power_weight ").replace("}", "")
    assert found.effect == f"acquisition outside the task's region: {words}"
    assert found.answer.startswith(answer)
    *levels, last = found.evidence
    for level, pay, value in zip(levels, pays, values, strict=True):
        assert level.startswith(f"power_weight {pay:g}: {value:+.2f}, 95 % interval [")
        assert "; 16 seeds; learnt the task: 100 %; not 0.5 (one-sample t test) p" in level
    assert last == "p adjusted for 3 tests (Holm)"
    shown = page(table, out)[0], " ".join(printed(table, out, 400).split())
    for level in found.evidence:
        assert all(level in text for text in shown)
