"""A network of routers with injected, labelled faults."""
