"""The laws that a world must obey, one module a kind of law."""
