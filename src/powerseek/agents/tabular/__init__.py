"""Learners of a table of action values: Q-learning and both kinds of Sarsa."""
