"""Makes report.html: one file that shows a quality engineer what a model can do, also offline."""
