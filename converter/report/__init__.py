"""The report of a conversion: one HTML file without external resources."""
