"""The plant's side: GPIO, alarm, and the requests trigger and snapshot."""
