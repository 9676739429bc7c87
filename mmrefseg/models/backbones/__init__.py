"""Image encoders: DarkNet-53 (SeqTR), Swin with language gates (LAVT), any of Hugging Face's transformers."""
