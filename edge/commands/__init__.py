"""What a person types: one command a module, each returns its exit code."""
