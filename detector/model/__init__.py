"""The network and its bundle: what training decided, and how to run it fast."""
