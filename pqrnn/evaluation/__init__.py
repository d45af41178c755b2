"""Predictions, metrics, and scores of a parser on labelled utterances."""
