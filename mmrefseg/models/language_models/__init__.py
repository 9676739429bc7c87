"""Text encoders: SeqTR's GRU, LAVT's BERT, and any of Hugging Face's transformers."""
