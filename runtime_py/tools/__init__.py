"""What is done with a package beside parsing: check, measure, inspect, replay."""
