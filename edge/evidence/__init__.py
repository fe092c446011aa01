"""The archive of pictures: which are kept, where, and within which budget."""
