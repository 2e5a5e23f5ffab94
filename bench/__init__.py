"""Speed against the peers: one file an item, interleaved pairs in one process, a table of ratios."""
