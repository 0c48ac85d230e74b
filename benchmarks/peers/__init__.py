"""Other people's learners and solvers beside ours: the same task, side by side, in one run."""
