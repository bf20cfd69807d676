"""From text to the graph."""
