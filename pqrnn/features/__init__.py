"""Features of words: bytes to words, words to ternary features, and the table of words met in training."""
