"""The pages of the explorer, a module each; see `atlas.web.page`."""
