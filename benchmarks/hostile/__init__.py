"""Hostile packages, checkpoints and files: what strangers may send, and what each reader has to make of it."""
