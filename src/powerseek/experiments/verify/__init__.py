"""Results held against what they were made from, and against some of their trials made again."""
