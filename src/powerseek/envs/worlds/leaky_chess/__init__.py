"""The world `leaky-chess`."""
