"""What a converted model changes: scores, verdicts, layers, golden pictures."""
