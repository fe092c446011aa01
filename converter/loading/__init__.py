"""Model files in any format, checked and loaded as one frozen graph."""
