"""Settings of all tests."""

from hypothesis import settings

# A deadline measures the machine and what else runs on it, not the code.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")
