"""Parity with the student and the teacher, from a reference file: numbers, decisions, task. NumPy alone."""
