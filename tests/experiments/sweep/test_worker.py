from __future__ import annotations

import numpy as np

from powerseek.errors import WorldError, reason_of


def broken(how: str) -> BaseException:
    """What is raised here, in a library that is called from here, or here and told of elsewhere."""
    try:
        if how == "library":
            np.linalg.inv(np.zeros((2, 2)))
        raise ValueError("the roof\n  fell in")
    except Exception as error:
        if how == "told":
            told = WorldError("the world is broken")
            told.__cause__ = error
            return told
        return error


def test_a_reason_is_one_line_of_words_and_place() -> None:
    assert reason_of(broken("own")).startswith(
        "ValueError: the roof fell in (in broken, test_worker.py line "
    )
    assert reason_of(ValueError("never raised")) == "ValueError: never raised"


def test_the_place_is_none_of_a_library() -> None:
    assert reason_of(broken("library")).startswith(
        "LinAlgError: Singular matrix (in broken, test_worker.py line "
    )


def test_the_place_is_that_of_the_cause() -> None:
    assert reason_of(broken("told")).startswith(
        "WorldError: the world is broken (in broken, test_worker.py line "
    )
