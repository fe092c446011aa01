"""Makes report.html: one file with the figures of a model for a quality engineer, also offline."""
