"""Text encoders: SeqTR's GRU, LAVT's BERT."""
