"""Ways in and out of other ecosystems."""
