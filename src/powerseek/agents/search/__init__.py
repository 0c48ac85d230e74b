"""Search over a model: trees in lockstep, what grows them, and who learns from them."""
