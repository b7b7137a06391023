"""Progress bars and HTML pages."""
