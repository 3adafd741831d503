"""The subcommands of `errata`."""
