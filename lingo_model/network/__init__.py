"""The translation model: configuration, layers, attention and loss."""
