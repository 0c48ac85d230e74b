"""Reward arms: what an agent is paid for, and when."""
