"""Stable-Baselines3 algorithms: the adapter, their policies and their checkpoints."""
