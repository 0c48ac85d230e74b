"""Solve a tabular MDP, or evaluate a policy on it."""
