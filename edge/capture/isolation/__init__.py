"""One process a camera, forked by a fork server, so that a driver may hang or crash."""
