"""Which features fire together: exact sums over documents, and the edges they give."""
