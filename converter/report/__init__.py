"""The report of a conversion: one HTML file that needs nothing else."""
