"""The cells and trials of a study of a size that can be run, which holds all it claims about."""

from __future__ import annotations

from powerseek.errors import InvalidInput
from powerseek.experiments.study.errors import number_hint
from powerseek.experiments.study.grid import Cell, Trial, expand, trials_by_seed
from powerseek.experiments.study.hypotheses import check_hypotheses
from powerseek.experiments.study.schema import Study
from powerseek.experiments.study.size import check_size


def cells(study: Study) -> tuple[Cell, ...]:
    """Every treatment of a study, each once, in the order of the file.

    Raises:
        InvalidInput: Something cannot be built, a hypothesis is about what the study does not
            hold, or there are too many trials; names the field of the study.
    """
    check_size(study)
    try:
        grid = expand(study)
    except InvalidInput as error:
        hint = error.hint or number_hint(error.value)
        raise InvalidInput(error.field, error.value, error.allowed, hint) from None
    check_hypotheses(study, grid)
    return grid


def trials(study: Study) -> tuple[Trial, ...]:
    """Every trial of a study: each cell with each seed, and the references.

    Raises:
        InvalidInput: As of `cells`, or a reference that no world of the study can have.
    """
    return trials_by_seed(study, cells(study))
