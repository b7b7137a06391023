"""The translation network: configuration, layers, attention and loss."""
