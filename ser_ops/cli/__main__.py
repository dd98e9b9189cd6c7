from ser_ops.cli import main

main()
