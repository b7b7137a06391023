"""How a model is named on the command line and in flows. Light to import."""

CHAMPION = "champion"
"""The name that stands for the promoted model of a folder of models."""
