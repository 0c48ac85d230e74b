"""Findings become text, pages and pictures; no numbers of its own."""
