"""Trained parsers that come with pqrnn, and those that people keep beside them:

`pqrnn zoo list`, `pqrnn parse NAME`.
"""
