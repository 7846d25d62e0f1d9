"""How good scores and alarms are, on public data and on simulated fabrics: see `__main__.py`."""
