"""The page that asks for a user and a password."""

from __future__ import annotations

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Enter - SAE feature atlas</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/assets/atlas.css"></head>
<body><main id="main" class="narrow"><h1>SAE feature atlas</h1>
<form method="post" action="/enter">
<p><label for="user">User</label><br>
<input id="user" name="user" autocomplete="username" required autofocus></p>
<p><label for="password">Password</label><br>
<input id="password" name="password" type="password" autocomplete="current-password" required></p>
{wrong}<p><button type="submit">Enter</button></p></form></main></body></html>
"""
_WRONG = '<p role="alert">This user and password do not fit.</p>'


def login_page(*, wrong: bool) -> str:
    """Return the page, with a line that the last try was wrong, if it was."""
    return _PAGE.format(wrong=_WRONG if wrong else "")
