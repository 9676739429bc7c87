"""Image encoders: DarkNet-53 (SeqTR), Swin with language gates (LAVT), and any of Hugging Face's transformers."""
