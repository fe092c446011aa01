"""Which pictures are kept, where, and within what budget."""
