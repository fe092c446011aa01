"""Values and basics that every package uses."""
