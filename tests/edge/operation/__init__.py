"""Tests of edge.operation."""
