"""Where frames come from: one kind of camera a file, and the mailbox."""
