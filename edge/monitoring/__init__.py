"""Health, faults, host metrics, supervisor, Prometheus, logs."""
