"""Verdicts, status and requests over an MQTT broker."""
