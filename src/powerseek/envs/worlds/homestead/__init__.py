"""The world `homestead`."""
