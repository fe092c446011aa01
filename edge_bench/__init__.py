"""Measures the whole daemon on this box, beside the bare work of a frame: `edge-inspect bench`.

The process that measures stays light. Worker processes decode and judge, so that nothing here
shares memory or a core with the measured daemon. No part of the daemon imports this package.
"""
