"""The world `shutdown-delay`."""
