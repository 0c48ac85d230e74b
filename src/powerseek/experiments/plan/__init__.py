"""What a study would cost, and what its seeds could find."""
