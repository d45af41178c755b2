"""Teaching a trained parser further commands: it learns new rows and, from itself, what it knew (`pqrnn extend`)."""
