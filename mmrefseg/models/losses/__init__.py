"""Losses: they own no parameters."""
