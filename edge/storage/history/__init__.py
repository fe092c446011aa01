"""The history: all verdicts that the box remembers, in a SQLite file beside the outbox."""
