"""The commands of `edge-inspect`."""
