"""Names shared by the networks, their training and their conversion."""

HEAD = "head"  # the layer whose softmax gives the probabilities; the converter looks for it
