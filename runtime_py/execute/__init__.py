"""Calls of the compiled functions."""
