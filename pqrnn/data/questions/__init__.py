"""Questions that a span of a text answers: SQuAD's files, the official scores, long texts in windows. No PyTorch."""
