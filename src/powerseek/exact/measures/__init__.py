"""Measures of a solved or enumerated world."""
