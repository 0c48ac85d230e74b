"""Ratios against plain Python and library defaults, each measured in one run."""
