"""Tools for packages beside parsing: check, measure, inspect, replay."""
