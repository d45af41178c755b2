"""Models that answer questions from a text: an encoder with a span head, its training and its scores."""
