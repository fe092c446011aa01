"""The commands of `edge-inspect`, one module each."""
