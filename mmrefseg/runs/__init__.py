"""From a config file and options to a runner; how a tool speaks, fails and ends."""
