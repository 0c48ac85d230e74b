"""Results of several studies side by side: the same claims, and what differs between the runs."""
