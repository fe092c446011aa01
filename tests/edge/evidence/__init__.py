"""Tests of edge.evidence."""
