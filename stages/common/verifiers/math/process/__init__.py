"""A process that runs comparisons of untrusted text and may be killed at any time."""
