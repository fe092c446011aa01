"""Frames and parts to verdicts: mailbox, part tracker, worker pool, judge."""
