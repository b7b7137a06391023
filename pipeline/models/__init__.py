"""Models by name, and which one is the champion."""
