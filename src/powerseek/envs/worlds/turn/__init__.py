"""The world `turn`."""
