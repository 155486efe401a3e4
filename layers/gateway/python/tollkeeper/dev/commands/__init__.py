"""The groups of the command line, one file each; `dev/cli.py` lists them."""
