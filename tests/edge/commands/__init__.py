"""Tests of edge.commands."""
