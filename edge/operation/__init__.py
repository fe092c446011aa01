"""What watches over the other rooms: health, watchdog, systemd, logs."""
