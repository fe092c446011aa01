"""Health, faults, host metrics, supervisor and Prometheus."""

from edge.monitoring.health import Health, prometheus_text
from edge.monitoring.health_body import Components
from edge.monitoring.host import HostMetrics
from edge.monitoring.station_status import StationStatus
from edge.monitoring.supervisor import Progress, Supervisor

__all__ = [
    "Components",
    "Health",
    "HostMetrics",
    "Progress",
    "StationStatus",
    "Supervisor",
    "prometheus_text",
]
