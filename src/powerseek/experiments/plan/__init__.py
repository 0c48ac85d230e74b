"""The cost of a study, and the effects that its seeds could find."""
