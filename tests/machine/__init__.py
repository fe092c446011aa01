"""Tests that need a machine of their own: an emulated box, and what stands around it."""
