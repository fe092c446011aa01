"""One contract of the commands over the box's records, over each way to them."""
