"""Speed and memory beside other libraries, as ratios from one run."""
