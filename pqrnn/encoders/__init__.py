"""Task-agnostic distillation: a small encoder learns from a large one, from texts without labels."""
