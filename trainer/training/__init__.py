"""Training of one or several networks, from a data set to a run's folder."""
