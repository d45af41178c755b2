"""From logits to a parse."""
