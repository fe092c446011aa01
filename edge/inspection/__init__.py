"""Judges one picture. No thread, socket, clock or database."""
