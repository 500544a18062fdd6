"""`python -m deployer`: the program."""

from deployer.cli import main

main()
