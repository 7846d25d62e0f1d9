"""The edges: each module owns one outside thing."""
