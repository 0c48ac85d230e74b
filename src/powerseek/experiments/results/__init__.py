"""Results: their columns, where they are kept, and reading them again."""
