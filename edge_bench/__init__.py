"""`edge-inspect bench`: measures the whole daemon on this box against the bare work of a frame.

The measuring process stays light: worker processes decode and run the model, so that it shares no
memory and no core with the measured daemon. The daemon never imports this package.
"""
