"""The core: message to verdict. Numbers in, values out; no clock, IO, threads or logging."""
