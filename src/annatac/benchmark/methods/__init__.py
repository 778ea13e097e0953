"""The methods of the benchmark, one a file: a file here with a ``METHODS`` table is all that a new one needs."""
