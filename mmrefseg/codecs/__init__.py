"""Boxes and masks as token sequences, and back."""
