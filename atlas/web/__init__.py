"""The explorer: an atlas in the browser, served by `atlas serve` (extra `web`)."""
