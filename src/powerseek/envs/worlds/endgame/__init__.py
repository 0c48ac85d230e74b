"""The world `endgame`."""
