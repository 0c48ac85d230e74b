"""Reasons that a rule failed, in one line."""

from __future__ import annotations

from powerseek.errors import PowerseekError, WorldError

_PIPELINE = "Failed in nopython mode pipeline"


def reason(error: BaseException) -> str:
    """One line on what went wrong, the compiler's pages of advice left out."""
    inner = error.__cause__ if isinstance(error, WorldError) and error.__cause__ else error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    if isinstance(error, PowerseekError) and not error.__cause__:
        return lines[0] if lines else type(error).__name__
    if "nopython" in "".join(lines[:1]) or type(inner).__module__.startswith("numba"):
        advice = (_PIPELINE, "During:", "^", "-", "<source", "def ")
        told = [line for line in lines if not line.startswith((*advice, "File "))]
        places = [x for x in lines if x.startswith("File ") and "powerseek_loops" not in x]
        lines = [" ".join([*told[:1], *places[-1:]])]
    return f"{type(inner).__name__}: {lines[0] if lines else 'no message'}"
