"""Annotation files as records, validated, and as data sets: one sample is one image and one expression."""
