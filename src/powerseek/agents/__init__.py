"""Learners, planners and scripted agents; a policy in a world becomes trajectories."""
