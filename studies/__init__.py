"""Programs that made a table or a figure of a decision record once.

Neither the type checker nor CI looks at them. They are kept to be read; one
may need a repair to run.
"""
