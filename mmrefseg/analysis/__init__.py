"""Why a model fails: cases of a prediction file, grouped, plotted and drawn. Works for every model."""
