"""Pure functions: pairs of masks or boxes -> numbers. They know nothing of models, configs or processes."""
