"""Tests of edge_bench."""
