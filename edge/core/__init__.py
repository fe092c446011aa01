"""Values and basics that every package may use. Nothing here imports another package of edge."""
