"""Measures the whole daemon on this box, beside the bare work of a frame: `edge-inspect bench`.

The module that measures stays light; what decodes or judges runs in processes of its own, so that
nothing here shares memory or a core with what is measured. No part of the daemon imports this room.
"""
