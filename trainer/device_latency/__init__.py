"""Estimates the latency of a network on a box from measured costs of its operators."""

from trainer.device_latency.cost_table import CostTable
from trainer.device_latency.estimate import Estimate, format_ms
from trainer.device_latency.int8_timing import int8_milliseconds
from trainer.device_latency.latency_budget import (
    LatencyBudget,
    NetworkOption,
    fitting_text,
    network_options,
    within_budget,
)
from trainer.device_latency.operator_work import OperatorWork, operator_works

__all__ = [
    "CostTable",
    "Estimate",
    "LatencyBudget",
    "NetworkOption",
    "OperatorWork",
    "fitting_text",
    "format_ms",
    "int8_milliseconds",
    "network_options",
    "operator_works",
    "within_budget",
]
