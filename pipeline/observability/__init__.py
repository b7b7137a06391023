"""What people watch: progress bars and HTML pages."""
