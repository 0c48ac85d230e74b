"""Errors that powerseek raises: one family, for callers to catch and the CLI to print."""

from __future__ import annotations

MAX_SHOWN = 400
"""Most characters of a wrong value that an error repeats."""


class PowerseekError(Exception):
    """Base of every error that powerseek raises on purpose."""


class InvalidInput(PowerseekError, ValueError):
    """A value a user gave is not allowed.

    Args:
        field: Name of the setting, as the user writes it (``gamma``, ``worlds[0].id``).
        value: What was given.
        allowed: What is allowed, in words or as a range.
        hint: Where possible, the line to write instead.
    """

    def __init__(self, field: str, value: object, allowed: str, hint: str = "") -> None:
        self.field, self.value, self.allowed, self.hint = field, value, allowed, hint
        shown = repr(value)
        if "\n" in shown or len(shown) > MAX_SHOWN:  # an array, or a nest of them
            shown = " ".join(shown.split())[:MAX_SHOWN] + " ..."
        text = f"{field}: got {shown}; allowed: {allowed}"
        super().__init__(f"{text}. {hint}" if hint else text)

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, object, str, str]]:
        """Pickle by arguments, so that the error survives the way back from a worker."""
        return type(self), (self.field, self.value, self.allowed, self.hint)


class WorldError(PowerseekError):
    """A world broke its contract: a rule raised, a fact is NaN, no action is legal."""


class SweepStopped(PowerseekError):
    """A sweep ended before its last trial; finished trials are kept."""


class NotInstalled(PowerseekError, ImportError):
    """Raised by a plugin's module where a library that it needs is not installed.

    What it offers is then left out of every list without a word; whoever asks for it by name is
    told what to install.

    Args:
        library: The library that is missing.
        install: The command that installs it.
    """

    def __init__(self, library: str, install: str) -> None:
        self.library, self.install = library, install
        super().__init__(f"{library} is not installed. Write: {install}")
