"""What turns features into boxes and masks: SeqTR's point sequences, LAVT's decoders, masks of RoIs."""
