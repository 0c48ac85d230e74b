"""``python -m powerseek.experiments.cli``."""

from powerseek.experiments.cli import main

main()
