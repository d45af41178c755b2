"""Lengths of what is read and answered, where nobody says others. No imports: the command line's help shows them."""

LONGEST = 384  # subwords of a window: a question, a piece of a context, and what stands around both
STRIDE = 128  # subwords of a context from one window to the next
LONGEST_QUESTION = 64  # subwords
LONGEST_ANSWER = 30  # subwords
LARGEST_CONTEXT = 1 << 20  # characters; some 2,000 windows
