"""Ray: starting it, connecting to it, stopping it, and the reasons of its failures."""
