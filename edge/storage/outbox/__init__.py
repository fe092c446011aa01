"""The outbox: verdicts in SQLite until the broker has acknowledged them."""
