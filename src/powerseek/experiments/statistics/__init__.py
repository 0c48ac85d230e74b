"""Arrays in, numbers out: intervals, tests, power, survival, bounds, verdicts."""
