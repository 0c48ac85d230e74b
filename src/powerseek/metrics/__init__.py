"""Trajectories and exact results become named, documented numbers."""
