"""Moving what already runs: a better assignment of processes to machines within the limits of moving (machine reassignment)."""
