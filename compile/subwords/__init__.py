"""Parsers of subwords: a fine-tuned encoder through the same stages, with its tokenizer in the package."""
