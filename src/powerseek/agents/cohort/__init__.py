"""Many agents trained side by side in one process."""
