"""The world `homestead-plane`."""
