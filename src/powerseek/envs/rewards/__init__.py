"""Reward functions: what an agent is paid for, and when."""
