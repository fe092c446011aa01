"""What must outlive a power cut: outbox, evidence archive, part journal, processed items."""
