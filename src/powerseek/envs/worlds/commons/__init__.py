"""The world `commons`."""
