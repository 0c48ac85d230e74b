"""Policies that were made elsewhere: functions, PyTorch's networks, Stable-Baselines3's models."""
