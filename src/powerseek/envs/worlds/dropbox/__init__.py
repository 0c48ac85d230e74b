"""The world `dropbox`."""
