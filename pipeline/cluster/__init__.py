"""Ray: starting and stopping it, connecting to it, and reading its failures."""
