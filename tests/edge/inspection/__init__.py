"""Tests of edge.inspection."""
