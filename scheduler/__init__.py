"""Where to place what: pure decisions over numpy columns. Knows neither the controller nor any driver; no I/O, no clock, no randomness."""
