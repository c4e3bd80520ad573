"""`python -m upnext`: the command line, as `up` starts its children."""

from upnext.cli import main

main(prog_name="upnext")
