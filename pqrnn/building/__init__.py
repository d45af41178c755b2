"""From data to a proved package: the stages of a build, what each gave, and going on after a stop."""
