"""`make test-box`: install, service, upgrade, rollback, uninstall in a Debian that boots systemd."""
