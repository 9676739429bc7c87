"""The demos and the experiment: stages that run the package's own tools, and reports."""
