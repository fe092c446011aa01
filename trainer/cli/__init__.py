"""The command line of edge-train."""
