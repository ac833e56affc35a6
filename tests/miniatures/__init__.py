"""Made-up data sets in the official layouts, small enough to run the benchmarks' scripts on."""
