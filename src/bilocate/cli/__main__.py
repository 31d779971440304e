"""`python -m bilocate.cli`: how daemons are started, whatever the console script is called."""

from bilocate.cli.main import main

main()
