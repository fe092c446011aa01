"""config.yaml: its values, how it is read, and what a new one changes."""
