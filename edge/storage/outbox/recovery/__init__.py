"""Recovery of a damaged outbox: carve, salvage, stage, quarantine."""
