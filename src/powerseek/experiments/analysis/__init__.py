"""Results become comparisons, findings and tables: data, no text, no drawing."""
