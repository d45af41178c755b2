"""A teacher, what it answers, and how a student learns from the answers."""
