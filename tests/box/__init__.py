"""`make test-box`: the life of an installed box, in a Debian that boots systemd."""
