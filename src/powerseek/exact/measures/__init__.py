"""What is measured on a solved or enumerated world."""
