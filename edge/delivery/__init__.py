"""How verdicts leave: message, outbox, MQTT."""
