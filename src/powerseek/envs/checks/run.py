"""The conformance kit: what a world must keep to, ours or a plugin's, and the verdict on one.

In a plugin's tests::

    from powerseek.envs import assert_conforms

    def test_orchard_conforms():
        assert_conforms("lab.orchard")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from powerseek.envs.checks import chance, facts, power, rules
from powerseek.envs.checks import declarations as form
from powerseek.envs.checks import purity as reads
from powerseek.envs.checks.case import Case, Failed, NotApplicable
from powerseek.envs.checks.rules import check_scripts
from powerseek.envs.engine.reason import reason
from powerseek.envs.world import World
from powerseek.errors import InvalidInput, WorldError, contained
from powerseek.registry import worlds

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"


@dataclass(frozen=True)
class Finding:
    """The finding of one check.

    Attributes:
        check: Name of the check.
        verdict: ``passed``, ``failed`` or ``not applicable``.
        found: The evidence (which record, which action, which values), or why it does not apply.
        instead: What to write instead; "" unless it failed.
    """

    check: str
    verdict: str
    found: str
    instead: str = ""


@dataclass(frozen=True)
class Report:
    """The verdict on one world.

    Attributes:
        world: The world in words, with its parameters.
        findings: One a check, in the order of `CHECKS`.
    """

    world: str
    findings: tuple[Finding, ...]

    @property
    def conforms(self) -> bool:
        """True if no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(f.check for f in self.findings if f.verdict == FAILED)

    def of(self, check: str) -> Finding:
        """The finding of `check`.

        Raises:
            InvalidInput: there is no such check.
        """
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise InvalidInput("check", check, ", ".join(f.check for f in self.findings))

    def __str__(self) -> str:
        told = [f"{f.check}: {f.found}\n    {f.instead}" for f in self.findings if f.instead]
        head = f"{self.world} conforms" if self.conforms else f"{self.world} does not conform:"
        return "\n  ".join([head, *told])


@dataclass(frozen=True)
class Check:
    """One law that worlds keep.

    Attributes:
        name: Its name.
        about: What it means, in a line.
        run: Finds what to say of a world, or raises Failed or NotApplicable.
        runs: Whether rules must be fit to run.
        foreign: Whether it makes sense of a foreign environment, which has no rules.
    """

    name: str
    about: str
    run: Callable[[Case], str]
    runs: bool = True
    foreign: bool = False


CHECKS = (
    Check(
        "declarations",
        "names, fields and ranges are in order",
        form.check_declarations,
        False,
        True,
    ),
    Check(
        "docstring", "it says what power is here and is missed", form.check_docstring, False, True
    ),
    Check("rules", "no rule raises, compiled or not", rules.check_rules, foreign=True),
    Check(
        "numbers",
        "facts and features are finite, features bounded",
        facts.check_finite_facts,
        foreign=True,
    ),
    Check(
        "determinism",
        "one seed, one result, at any batch size",
        rules.check_determinism,
        foreign=True,
    ),
    Check("purity", "a replay of the same step is the same", rules.check_purity),
    Check("compiled", "compiled rules equal plain Python", rules.check_compiled),
    Check("writes", "rules write the record alone", reads.check_writes),
    Check("clock", "rules do not read clock, cap or old flows", reads.check_clock),
    Check("tape", "branches sum to 1 and match simulation", chance.check_tape),
    Check("masks", "allowed actions do something", chance.check_masks),
    Check("injective", "different states look different", facts.check_injective),
    Check("progress", "progress lies in [0, 1]", facts.check_progress, foreign=True),
    Check("success", "success is progress 1 and ends", facts.check_success, foreign=True),
    Check("blind", "progress is blind to the power on offer", power.check_blind),
    Check("roles", "facts are what their roles say", facts.check_roles, foreign=True),
    Check("placebo", "the placebo helps nobody", power.check_placebo),
    Check("calm", "with the hazard off nothing interrupts", facts.check_calm, foreign=True),
    Check("scripts", "minimalist and hoarder differ in what they take", check_scripts),
    Check("enumerates", "a small setting can be solved exactly", form.check_enumerates),
    Check("symmetry", "rules commute with the declared symmetry", form.check_symmetry),
    Check("actors", "every actor has actions and features", form.check_actors),
    Check("render", "there is a picture", form.check_render),
    Check("speed", "steps a second", form.check_speed, foreign=True),
)
"""Every check, in the order in which they are run."""

GATES = ("determinism", "purity")
"""Where one of these fails, what later checks would find means nothing."""

_WAITS = "not looked at before {} is mended"


def check_world(world: World | type[World] | str, **params: Any) -> Report:
    """Check a world against its contract.

    Args:
        world: The world, its class, or its id.
        **params: Its parameters, where a class or an id is given.

    Returns:
        What every check found. A world that breaks its contract raises nothing: it is reported.

    Raises:
        InvalidInput: there is no such world, or a parameter is not allowed.
    """
    made = _made(world, params)
    if isinstance(made, Report):
        return made
    case = Case(made)
    findings: list[Finding] = []
    stop: rules.Stop | None = None
    unsure = ""
    for check in CHECKS:
        if check.name == "rules":
            stop = rules.reason_not_run(case)
            if stop and findings[0].verdict == FAILED and findings[0].found == stop.found:
                stop = replace(stop, check=findings[0].check)  # once is enough
        looks = check.foreign or not case.foreign
        if unsure and looks and check.runs and check.name not in GATES:
            found = Finding(check.name, NOT_APPLICABLE, _WAITS.format(unsure))
        else:
            found = _found(check, case, stop)
        findings.append(found)
        if found.verdict == FAILED and check.name in GATES:
            unsure = unsure or check.name
    return Report(repr(made), tuple(findings))


def assert_conforms(world: World | type[World] | str, **params: Any) -> None:
    """Fail a test unless the world conforms; arguments as `check_world`.

    Raises:
        AssertionError: it does not; the message names each failed check, the evidence and what
            to write instead.
    """
    report = check_world(world, **params)
    if not report.conforms:
        raise AssertionError(str(report))


def _made(world: World | type[World] | str, params: dict[str, Any]) -> World | Report:
    if isinstance(world, World):
        return world.replace(**params) if params else world
    cls = worlds.get(world) if isinstance(world, str) else world
    try:
        with contained():
            return cls(**params)
    except InvalidInput as error:
        if params:
            raise
        found = f"its defaults are refused: {error}"
    except WorldError as error:
        law, _, instead = str(error).partition("; ")
        return _unmade(cls, Finding("rules", FAILED, law, instead[:1].upper() + instead[1:]))
    except Exception as error:
        found = f"it cannot be made: {reason(error)}"
    instead = 'Declare parameters = {"max_steps": Param(12, 1, 10_000, "cap on an episode")}.'
    return _unmade(cls, Finding("declarations", FAILED, found, instead))


def _unmade(cls: type[World], finding: Finding) -> Report:
    return Report(f"{getattr(cls, 'id', '') or cls.__name__}()", (finding,))


def _found(check: Check, case: Case, stop: rules.Stop | None) -> Finding:
    if case.foreign and not check.foreign:
        return Finding(
            check.name, NOT_APPLICABLE, "a foreign environment has no rules to look into"
        )
    if stop and check.name == stop.check:
        return Finding(check.name, FAILED, stop.found, stop.instead)
    if stop and check.runs:
        return Finding(check.name, NOT_APPLICABLE, _WAITS.format(stop.check))
    try:
        with contained():
            return Finding(check.name, PASSED, check.run(case))
    except Failed as failed:
        return Finding(check.name, FAILED, failed.found, failed.instead)
    except NotApplicable as why:
        return Finding(check.name, NOT_APPLICABLE, str(why))
    except InvalidInput as error:
        return Finding(check.name, FAILED, *rules.refusal(error))
    except Exception as error:
        instead = rules.MEND_FOREIGN if case.foreign else f"Mend what {check.name} ran into."
        return Finding(check.name, FAILED, reason(error), instead)
