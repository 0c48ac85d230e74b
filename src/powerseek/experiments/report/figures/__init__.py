"""Pictures for reports, one module a kind."""
