"""Prefect flows. No other package imports Prefect."""
