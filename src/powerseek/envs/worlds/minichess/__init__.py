"""The world `minichess`."""
