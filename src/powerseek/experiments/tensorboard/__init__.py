"""Curves and an overview for TensorBoard."""
