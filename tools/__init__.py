"""What the Makefile calls. Run as `python -m tools.<name>` from the top folder."""
