"""Native parsers (`pqrnn native`) from Python, by ctypes: the standard library is all that is needed."""
