"""Real camera servers and the faults of real cameras; run by `make test-capture`."""
