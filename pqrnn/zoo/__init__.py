"""Trained parsers that come with pqrnn, and those that people keep beside them.

The commands are `pqrnn zoo list` and `pqrnn parse NAME`.
"""
