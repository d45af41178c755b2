"""Whether compiled code answers right: golden vectors, references, replays."""
