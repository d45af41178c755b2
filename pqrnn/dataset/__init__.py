"""Examples as tensors: labels, encoded utterances, batches."""
