"""HTTP: one prediction, health, metrics. Only imported when `web.enabled` is true."""
