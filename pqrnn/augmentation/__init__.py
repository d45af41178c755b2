"""Changes of training utterances that keep their labels right."""
