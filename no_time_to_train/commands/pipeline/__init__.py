"""Behind `reproduce`: the steps of a benchmark as command lines, and what decides if they run."""
