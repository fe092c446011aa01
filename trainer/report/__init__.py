"""Makes report.html: one file that shows a quality engineer the figures of a model, also offline."""
