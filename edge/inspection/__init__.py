"""Judging one picture. Pure: no thread, socket, clock or database."""
