"""Tests of edge.bench."""
