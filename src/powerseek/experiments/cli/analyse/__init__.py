"""`powerseek analyse`: a world enumerated, in words, pictures and files."""
