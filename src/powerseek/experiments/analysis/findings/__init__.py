"""Findings: each hypothesis that was set beforehand, in each setting that holds its arms."""
