"""Trials are run, one by one or in cohorts, by Ray."""
