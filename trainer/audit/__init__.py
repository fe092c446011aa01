"""Is the data what it seems? Copies, leaks, doubtful labels and giveaways, before any training."""
