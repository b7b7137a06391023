"""Prefect flows: the only place that knows of Prefect."""
