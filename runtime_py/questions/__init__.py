"""Answers to questions from a text: what is read, the span that answers, and packages that find it. No PyTorch."""
