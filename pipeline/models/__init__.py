"""Models by name, and the champion among them."""
