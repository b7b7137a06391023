"""A translation table at rest: its manifests, its folder, and queries over it."""
