"""Teachers: large encoders fine-tuned on the student's own words and labels, whose answers the student learns from."""
