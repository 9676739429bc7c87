"""The originals' weights: which of their tensors goes where."""
