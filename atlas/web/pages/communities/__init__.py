"""Communities: the list, one, and two compared."""
