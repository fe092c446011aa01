"""The command line of edge-convert."""
