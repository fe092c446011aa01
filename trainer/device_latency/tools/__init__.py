"""Programs that generate the data files beside this package."""
