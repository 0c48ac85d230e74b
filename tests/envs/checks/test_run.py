"""The conformance kit: shipped worlds pass, and each broken one fails at its defect."""

import broken
import gymnasium
import numpy as np
import pytest
from scipy.stats import binom
from worlds import Well

import powerseek
from powerseek.envs import assert_conforms, check_world, expand, initial_branches
from powerseek.envs.adapters.foreign import ForeignWorld
from powerseek.envs.checks import case as conformance_case
from powerseek.envs.checks.case import Case, Failed
from powerseek.envs.checks.chance import _divergence
from powerseek.envs.checks.declarations import check_actors, check_symmetry
from powerseek.envs.checks.episodes import random_walk, record_keys
from powerseek.envs.checks.graph import TooLarge, make_graph
from powerseek.envs.checks.interpreted import interpret
from powerseek.envs.checks.power import check_blind, check_placebo
from powerseek.envs.checks.rules import walk_difference
from powerseek.envs.checks.run import CHECKS, FAILED, GATES, NOT_APPLICABLE, PASSED
from powerseek.envs.engine.expand import TooManyBranches
from powerseek.envs.world import Param
from powerseek.errors import InvalidInput
from powerseek.exact import enumerate_world, need

# What each broken world must fail, and words of its evidence: the others among the slow tests, for
# each has rules of its own to be compiled.
ONE_DEFECT = {
    "HiddenRandomness": ({"determinism", "purity"}, "'gather' in (grain=0"),
    "OutsideTape": ({"tape"}, "of 20,000 draws where simulated"),
    "Wraps": ({"compiled"}, "fact 'disabled' is 1.0 and 0.0"),
    "WritesInMeasure": ({"writes"}, "measure writes (grain=3"),
    "AllowsNothing": ({"masks"}, "legal allows no action in (grain=1"),
    "HidesTool": ({"injective"}, "look the same"),
    "PaysSurplus": ({"blind"}, "0.4 with grain=2 and 0.6 with grain=3"),
    "SaysLittle": ({"docstring"}, "'Power here', 'Not captured'"),
}
MORE = {
    "ModuleState": ({"rules"}, "compiled, the rules fail: TypingError"),
    "ReadsClock": ({"clock"}, "transition reads the clock: 'gather' in"),
    "NotANumberSeen": ({"numbers"}, "observe gives 'grain' = nan"),
    "ProgressBelowZero": ({"progress"}, "progress is -0.1 in (grain=0"),
    "StockAsResource": ({"roles"}, "'resource' and is not a flow"),
    "Twins": ({"scripts"}, "the hoarder takes 1."),
    "Remembers": ({"determinism", "purity"}, "replayed on the same tape"),
    "PeeksAtTape": ({"tape"}, "with probability 0.5 where enumerated, 0.4"),
    "GlobalChanges": ({"rules"}, "reads RATE, which has changed since"),
    "AllowsWhatRaises": ({"masks"}, "nothing to deliver (broken.py line"),
    "AllowsIdling": ({"masks"}, "'disable' and 'wait'"),
    "AlwaysRaises": ({"rules"}, "transition raises ValueError: no tool today (broken.py line"),
    "NotANumberMeasured": ({"numbers"}, "measure gives holdings = inf in (grain=3"),
    "PaysTool": ({"blind"}, "progress is 0 with tool=0 and 0.1 with tool=1"),
    "RandomTable": ({"determinism"}, "prepare gives another 'chance'"),
    "SpoilsTape": ({"tape"}, "sum to 0.9999999"),
    "ReadsCap": ({"clock"}, "measure reads the cap (max_steps): 'holdings'"),
    "ReadsFlows": ({"clock"}, "observe reads the flows of the last step: 'grain'"),
    "WritesClock": ({"writes"}, "transition writes clock or max_steps on 'gather'"),
    "WritesTables": ({"rules"}, "read-only (broken.py line"),
    "HugeFeature": ({"numbers"}, "'grain' = 20.0"),
    "SuccessIsHalf": ({"success"}, "success is 1 and progress below 1 in (grain=0"),
    "PlaceboHelps": ({"placebo"}, "without the placebo"),
    "StockAsFlow": ({"roles"}, "declared a flow and reads [0.25] where nothing happened"),
    "UnknownRole": ({"roles"}, "unknown role 'riches'"),
    "NotCalm": ({"calm"}, "interrupted at NotCalm"),
    "Cheats": ({"scripts"}, "the minimalist chooses 'deliver' in (grain=0"),
    "NoPicture": ({"render"}, "there is no picture"),
    "Lopsided": ({"symmetry"}, "lead to different states"),
    "Endless": ({"enumerates"}, "Endless(hazard=0.1, max_steps=10) has more than"),
    "NoProgress": ({"declarations", "rules"}, "there is no fact 'progress'"),
    "ModifiedByNobody": ({"declarations"}, "modified names 'off', which is none of grain, tool"),
    "NarrowField": ({"declarations"}, "field 'extra' is neither i8 nor f8"),
    "BadPrepare": ({"rules"}, "prepare raises KeyError: 'table' (broken.py line"),
    "BadDefaults": ({"declarations"}, "its defaults are refused"),
    "ReadsLock": ({"rules"}, "rule 'legal': reads LOCK, of type lock"),
    "NoParams": ({"declarations"}, "it cannot be made"),
    "BadProbe": ({"declarations"}, "makes no situation for its policies: "),
    "BlindProbe": ({"declarations"}, "no fact has the role off_switch in the probe"),
    "BadLengths": ({"declarations"}, "lengths gives {4: 1.0, 99: 2.0}"),
}


# Where nothing is a means of power, or every two states differ in an end too.
WITHOUT_MEANS = ("dropbox", "minichess", "powerless", "shutdown-probe", "star")


@pytest.mark.parametrize("name", powerseek.list_worlds())
def test_every_world_conforms(name):
    report = check_world(name)
    assert report.conforms, str(report)
    assert [f.check for f in report.findings] == [check.name for check in CHECKS]
    for law in ("rules", "compiled", "tape", "injective", "blind", "scripts", "enumerates"):
        passes = law != "blind" or name not in WITHOUT_MEANS
        assert report.of(law).verdict == (PASSED if passes else NOT_APPLICABLE), report.of(law)


def fails(name, checks, words):
    report = check_world(getattr(broken, name))
    assert set(report.failed) == checks, str(report)
    assert words in " ".join(report.of(check).found for check in report.failed)
    for finding in report.findings:
        assert bool(finding.instead) == (finding.verdict == FAILED)
        assert finding.found


@pytest.mark.parametrize("name", ONE_DEFECT)
def test_a_broken_world_fails_at_its_defect(name):
    fails(name, *ONE_DEFECT[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_other_broken_worlds_fail_at_their_defects(name):
    fails(name, *MORE[name])


def test_a_sound_world_passes_every_check():
    report = check_world(broken.Barn)
    verdicts = {f.check: f.verdict for f in report.findings}
    assert verdicts.pop("symmetry") == verdicts.pop("actors") == NOT_APPLICABLE
    assert set(verdicts.values()) == {PASSED}, str(report)
    assert str(report) == "Barn(hazard=0.1, max_steps=10) conforms"
    assert_conforms(broken.Barn(hazard=0.0))
    assert set(GATES) < set(verdicts)
    with pytest.raises(InvalidInput, match=r"check: got 'beauty'; allowed: declarations, "):
        report.of("beauty")


def test_a_world_without_end_says_why():
    report = check_world(broken.EndlessOnPurpose)
    assert report.conforms, str(report)
    assert report.of("enumerates").verdict == NOT_APPLICABLE
    assert report.of("enumerates").found == "the ledger never repeats"
    # What can still be tested of it is tested on the states that were met.
    assert report.of("blind").verdict in (PASSED, NOT_APPLICABLE)
    assert report.of("injective").verdict == PASSED


@pytest.mark.slow
def test_a_world_too_large_for_a_graph_is_judged_by_what_was_met(monkeypatch):
    monkeypatch.setattr(conformance_case, "STATES", 10)
    sound, paid = check_world(broken.Barn), check_world(broken.PaysTool)
    assert sound.conforms, str(sound)
    assert sound.of("blind").verdict == PASSED
    assert sound.of("placebo").verdict == NOT_APPLICABLE
    assert paid.failed == ("blind",)


@pytest.mark.parametrize(
    "name", ["BadPrepare", "BadDefaults", "NoParams", "NoProgress", "ReadsLock"]
)
def test_what_cannot_be_made_is_reported_and_not_raised(name):
    fails(name, *MORE[name])


@pytest.mark.parametrize(
    ("world", "params", "message"),
    [
        ("homestaed", {}, "Did you mean 'homestead'"),
        ("homestead", {"openness": 9}, "homestead.openness: got 9"),
        (broken.Barn, {"hazards": 1}, "test.barn parameter: got 'hazards'"),
    ],
)
def test_bad_input_is_refused(world, params, message):
    with pytest.raises(InvalidInput, match=message):
        check_world(world, **params)


def test_a_class_that_no_other_process_finds_is_compared_with_nothing():
    class Hidden(broken.Barn):
        pass

    report = check_world(Hidden)
    assert report.conforms, str(report)
    assert report.of("compiled").verdict == NOT_APPLICABLE
    assert "move it to the top of a module" in report.of("compiled").found


# --- one check at a time ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "field"),
    [
        (broken.PaysSurplus(), "grain"),
        (broken.PaysTool(), "tool"),
        (broken.PaysInsideTool(), "tool"),
        (broken.PaysOutsideTool(), "tool"),
        (broken.PaysSwitch(), "disabled"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, broken.Barn) else x,
)
def test_progress_that_pays_for_power_is_found(world, field):
    with pytest.raises(Failed, match=rf"progress is .* with {field}=\d and .* with {field}=\d"):
        check_blind(Case(world))


@pytest.mark.parametrize(
    "params",
    [
        {"openness": 0},
        {"openness": 0, "regrowth": 0.0},  # nobody can succeed
        {"openness": 0, "regrowth": 0.0, "quota": 2},  # not from every state
        {"openness": 1, "quota": 1},
        {"openness": 1, "tool_yield": 1.0},  # two units at once
    ],
)
def test_progress_that_pays_for_what_the_task_needs_passes(params):
    world = powerseek.make_world("homestead", **params)
    assert "grain alone" in check_blind(Case(world))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (broken.PlaceboHelps(), "without the placebo"),
        (broken.PlaceboFeeds(), "without the placebo"),
        (broken.PlaceboHelps(max_steps=3), "'trinket', which only the placebo changes"),
    ],
)
def test_a_placebo_that_helps_is_found(world, words):
    with pytest.raises(Failed, match=words):
        check_placebo(Case(world))
    assert check_placebo(Case(broken.Barn()))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (broken.Lopsided(), "lead to different states"),
        (broken.Swaps(), "canonical of a representative is another"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, broken.Barn) else "",
)
def test_a_symmetry_that_is_none_is_found(world, words):
    with pytest.raises(Failed, match=words):
        check_symmetry(Case(world))


class Nameless(Well):
    actors = staticmethod(lambda params: ("Ann", "Ann"))


class Alone(Well):
    actors = staticmethod(lambda params: ("Ann",))


class Crowded(Well):
    actors = staticmethod(lambda params: ("Ann", "Miles", "Eve"))


class Loose(Well):
    parameters = {**Well.parameters, "who": Param(0, 0, 2)}


class Unseated(Well):
    actor_parameter = ""


class Misnamed(Well):
    actor_parameter = "whom"


class Restless(Well):
    noop = ""


class Thirsty(Well):
    noop = "draw"


class Renamed(Well):
    actors = staticmethod(lambda params: ("Ann", "Miles") if params.who == 0 else ("Ann", "Eve"))


class Blindfolded(Well):
    observation = staticmethod(lambda params: Well.observation(params)[: 5 * (1 - params.who)])


class Dreams(Well):
    idle = {"anne": "asleep"}


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (Nameless, "actors gives 'Ann' more than once"),
        (Alone, "who=1 is allowed and actors gives 1"),
        (Crowded, r"who=2 does not give 'Eve' the input actions"),
        (Loose, "who=2 is allowed and actors gives 2"),
        (Unseated, "no parameter says whose the input actions are"),
        (Misnamed, "actor_parameter names 'whom'"),
        (Restless, "noop names ''"),
        (Thirsty, r"'draw', the noop, is not allowed in \(water=0"),
        (Renamed, "who=1 does not give 'Miles' the input actions"),
        (Blindfolded, r"observation of 'Miles' gives \(\)"),
        (Dreams, "idle names 'anne'"),
    ],
)
def test_actors_who_cannot_act_are_found(world, words):
    with pytest.raises(Failed, match=words):
        check_actors(Case(world()))


def test_a_world_of_two_actors_conforms():
    assert_conforms(Well)
    for who in range(2):
        assert "Ann, Miles" in check_actors(Case(Well(who=who)))


def test_plain_python_has_a_limit():
    found = interpret(broken.Endures(), seconds=1)
    assert found.absent == "took more than 1 s as plain Python"


# --- foreign environments -----------------------------------------------------------------------


class Pole(ForeignWorld):
    """A pole on a cart.

    Power here: none. Not captured is all else.

    Not captured: everything.
    """

    id = "test.pole"
    parameters = {"max_steps": Param(10)}

    @staticmethod
    def environment(params):
        return gymnasium.make("CartPole-v1")

    @staticmethod
    def read(params, moment):
        done = moment.clock >= params.max_steps
        return {"progress": moment.clock / params.max_steps, "success": done, "over": done}


class Silent(Pole):
    read = staticmethod(ForeignWorld.read)


class Unseeded(Pole):
    @staticmethod
    def featurise(params, observation):
        return np.random.default_rng().random(4)


class Loud(Pole):
    featurise = staticmethod(lambda params, observation: 100 * np.ones(4))


class Beside(Pole):
    read = staticmethod(lambda params, moment: {"progress": 0.5, "success": 1, "over": 1})


class Continuous(Pole):
    environment = staticmethod(lambda params: gymnasium.make("Pendulum-v1"))


class Faulty(Pole):
    @staticmethod
    def featurise(params, observation):
        raise RuntimeError("no picture")


def test_a_foreign_environment_is_checked_as_far_as_it_can_be_seen():
    report = check_world(Pole)
    assert report.conforms, str(report)
    judged = {f.check for f in report.findings if f.verdict == PASSED}
    assert judged == {check.name for check in CHECKS if check.foreign} - {"calm"}
    report = check_world(Faulty)
    assert report.failed == ("declarations",)
    assert report.of("declarations").found == "RuntimeError: no picture"
    report = check_world(Silent)
    assert report.failed == ("rules",)
    assert "info['progress']: got None" in report.of("rules").found
    assert "read(params, moment)" in report.of("rules").instead


@pytest.mark.parametrize(
    ("world", "check", "remedy"),
    [
        (Unseeded, "determinism", "come from reset(seed=...)"),
        (Loud, "numbers", "In featurise: scale it"),
        (Beside, "success", "In read: success and over are 0.0 or 1.0"),
        (Continuous, "declarations", "Wrap the environment so that its actions are Discrete."),
        (Faulty, "declarations", "Mend environment, featurise or read."),
        (Silent, "rules", "Put it into info, or give the world a read(params, moment)."),
    ],
)
def test_advice_to_a_foreign_world_speaks_of_its_hooks(world, check, remedy):
    report = check_world(world)
    assert remedy in report.of(check).instead
    written = str(report).replace("no rule raises", "")
    for word in ("In observe", "In measure", "initial", "flip", "transition", "()"):
        assert word not in written
    assert report.of("tape").found == "a foreign environment has no rules to look into"


# --- the methods behind the checks --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [("off-switch", {}), ("homestead", {"openness": 0}), ("endgame", {"openness": 1})],
)
def test_the_graph_is_the_enumerated_world(name, params):
    world = powerseek.make_world(name, **params)
    graph, mdp = make_graph(world, 20_000, 400_000), enumerate_world(world)
    assert len(graph.records) == mdp.n_states
    assert (np.diff(graph.source) >= 0).all()
    pairs = np.unique(np.stack([graph.source, graph.action], axis=1), axis=0)
    assert len(pairs) == mdp.n_pairs
    assert graph.over.sum() == mdp.terminal.sum()
    best = graph.success(world.max_steps)[-1, : graph.n_initial].mean()
    if world.role("resource"):
        assert best == pytest.approx(need(mdp).max_success, abs=1e-9)
    with pytest.raises(TooLarge, match="more than 40 states"):
        make_graph(world, 40, 400_000)


def test_forbidden_edges_are_not_taken():
    graph = make_graph(broken.Barn(), 100, 10_000)
    without = graph.action != broken.A.gather
    assert graph.success(10)[-1, 0] > 0.9
    assert graph.success(10, without)[-1, 0] == 0.0


@pytest.mark.parametrize("p", [0.003, 0.2, 0.5, 0.97])
@pytest.mark.parametrize("n", [20, 400])
def test_the_bound_on_frequencies_holds(p, n):
    """Chernoff: P(n KL(q || p) > log(2 / risk)) <= risk, against exact binomial tails."""
    heads = np.arange(n + 1)
    for risk in (0.3, 0.05, 1e-4):
        refused = n * _divergence(heads / n, np.full(n + 1, p)) > np.log(2 / risk)
        assert binom.pmf(heads[refused], n, p).sum() <= risk
    certain = _divergence(np.array([1.0, 1 - 1e-6, 1e-6]), np.array([1.0, 1.0, 0.0]))
    assert certain[0] == 0
    assert np.isinf(certain[1:]).all()


def test_walks_are_compared_bit_by_bit():
    world = broken.Barn()
    one = random_walk(world, 2, 3)
    assert walk_difference(world, one, {name: array.copy() for name, array in one.items()}) is None
    two = {name: array.copy() for name, array in one.items()}
    zero = int((two["observations"][1, 1] == 0).argmax())
    two["observations"][1, 1, zero] = -0.0
    told = walk_difference(world, one, two)
    assert told.startswith("step 2, copy 1, ")
    assert told.endswith(f"observation {world.observation_names[zero]!r} is 0.0 and -0.0")


def test_states_with_too_many_branches_are_refused():
    world = broken.Endless()
    records = world.records(1)
    with pytest.raises(TooManyBranches, match="one state has over 1,024 branches"):
        expand(world, records, most=1024)
    assert (
        len(expand(world, records, most=65_536).source) == 11_000
    )  # 1,000 draws of the ledger a branch
    assert len(initial_branches(world, most=1)[0]) == 1


def test_standing_records_are_distinct_and_reachable():
    case = Case(powerseek.make_world("homestead", openness=0))
    met = record_keys(case.world, case.standing)
    assert len(np.unique(met)) == len(met) > 100
    assert case.whole
    assert np.isin(met, record_keys(case.world, case.graph.records)).all()


def test_an_assertion_names_evidence_and_remedy():
    with pytest.raises(AssertionError) as raised:
        assert_conforms(broken.BadPrepare, max_steps=4)
    assert str(raised.value).splitlines() == [
        "BadPrepare(hazard=0.1, max_steps=4) does not conform:",
        "  rules: prepare raises KeyError: 'table' (broken.py line "
        f"{broken.BadPrepare.prepare.__code__.co_firstlineno + 2})",
        "    Mend the rule, or forbid the action in legal. NUMBA_DISABLE_JIT=1 runs rules as plain "
        "Python, under any debugger.",
    ]
