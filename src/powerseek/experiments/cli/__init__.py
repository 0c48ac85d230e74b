"""The command line."""

from __future__ import annotations


def main() -> None:
    """Run the command that ``sys.argv`` holds; ends the process with its exit code."""
    from powerseek.experiments.cli.app import main as run

    run()
