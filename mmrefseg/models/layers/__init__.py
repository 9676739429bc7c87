"""What networks are made of: attention, transformers, Swin, language gates, Partial-RES's additions."""
