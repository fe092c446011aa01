"""Names that the networks, their training and their conversion share."""

HEAD = "head"  # the layer whose softmax gives the probabilities; the converter looks for it
