"""Tests of edge.capture."""
