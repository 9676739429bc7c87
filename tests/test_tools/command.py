"""What ``mmrefseg`` does, as a script."""

from mmrefseg.cli.main import main

main()
