"""Which scheme is taken: every scheme is tried, and the gates decide."""
