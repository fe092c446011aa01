"""An independent client of the box, written for node."""
