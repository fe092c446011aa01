"""report.html: one file that tells a quality engineer what a model can do, offline and on paper."""
