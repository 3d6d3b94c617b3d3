"""How well the default model learns, on real and synthetic streams, beside its peers."""
