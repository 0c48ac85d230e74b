"""The worlds, one module or folder each."""
