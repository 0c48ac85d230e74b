"""The cells and trials of a study that holds all that its hypotheses are about."""

from __future__ import annotations

from powerseek.experiments.study.grid import Cell, Trial, expand, seeded
from powerseek.experiments.study.hypotheses import check_hypotheses
from powerseek.experiments.study.schema import Study


def cells(study: Study) -> tuple[Cell, ...]:
    """Every treatment of a study, each once, in the order of the file.

    Raises:
        InvalidInput: Something cannot be built, or a hypothesis is about what the study does not
            hold; names the field of the study.
    """
    grid = expand(study)
    check_hypotheses(study, grid)
    return grid


def trials(study: Study) -> tuple[Trial, ...]:
    """Every trial of a study: each cell with each seed, and the references.

    Raises:
        InvalidInput: As of `cells`, or a reference that no world of the study can have.
    """
    return seeded(study, cells(study))
