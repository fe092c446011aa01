"""Tests, by package; each says its rule in one sentence."""
