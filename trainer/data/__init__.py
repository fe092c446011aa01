"""A folder of labelled pictures as train, validation and test sets."""
