"""Trains a network on labelled pictures and measures it on a test set."""
